@testable import NetworkChild

/// The interruptions of a run that allow further deliveries.
struct Interruptions {
    /// The relays that were suspended for longer than their leases.
    var suspended: Set<String> = []
    /// The relays that were killed.
    var killed: Set<String> = []
    /// A Boolean value that indicates whether the server failed.
    var serverFailed = false
    /// A Boolean value that indicates whether the server had no space for results.
    var wasFull = false
}

extension NetworkRun {
    /// Checks the effects of all processes.
    ///
    /// - Parameter interruptions: The interruptions of the run.
    /// - Returns: A description of each broken promise.
    func problems(_ interruptions: Interruptions = Interruptions()) -> [String] {
        dedupProblems(interruptions) + limitProblems() + lossProblems() + orderProblems(interruptions)
    }

    private func workers(with role: Job.Role) -> Int { workers.count { $0.job.roles.contains(role) } }

    /// An operation runs once for each key, and all requests receive the result of the run.
    private func dedupProblems(_ interruptions: Interruptions) -> [String] {
        let processes = workers(with: .dedup)
        if processes == 0 { return [] }
        let isFlushed = sentBeforeFlush != nil
        let charges = lines(.charges).map { $0.split(separator: " ") }
        let answers = lines(.answers).map { $0.split(separator: " ") }
        var problems: [String] = []
        for key in (0..<Job.keys).map({ "key\($0)" }) {
            let runs = charges.count { $0[0] == key }
            if runs < 1 || runs > (isFlushed ? 2 : 1) { problems.append("\(runs) runs for \(key)") }
            let values = answers.filter { $0[0] == key }.map { $0[1] }
            if values.count != processes * Job.requests { problems.append("\(values.count) answers for \(key)") }
            var results = Set(values)
            // A full server may keep only the record of a run.
            if interruptions.wasFull { results.remove(DedupWork.missingResult[...]) }
            if results.count > runs { problems.append("\(results.count) results for \(key)") }
        }
        return problems
    }

    /// All processes together make as many calls as the limit allows.
    private func limitProblems() -> [String] {
        if workers(with: .limit) == 0 { return [] }
        let most = sentBeforeFlush == nil ? Job.limit : 2 * Job.limit
        return LimitWork.limits.compactMap { name, _ in
            let allowed = lines(.allowed).count { $0 == name }
            let unsure = lines(.unsure).count { $0 == name }
            if allowed > most { return "\(allowed) calls of \(most) in \(name)" }
            // A call whose counting has an unknown outcome was not made and may have been counted.
            if allowed + unsure < Job.limit { return "\(allowed) calls and \(unsure) unknown of \(most) in \(name)" }
            return nil
        }
    }

    /// Each acknowledged message is delivered, and nothing else.
    private func lossProblems() -> [String] {
        let (sent, acknowledged) = (lines(.sent), Set(lines(.acknowledged)))
        let delivered = Set(lines(.deliveries).map(DeliveryLine.init).filter { !$0.isSettlement }.map(\.id))
        let safe = sentBeforeFlush.map { acknowledged.intersection(sent.dropFirst($0)) } ?? acknowledged
        var problems: [String] = []
        if acknowledged.count != Job.messages * workers(with: .produce) {
            problems.append("\(acknowledged.count) acknowledged messages")
        }
        let lost = safe.subtracting(delivered)
        if !lost.isEmpty { problems.append("lost: \(lost.sorted())") }
        let unknown = delivered.subtracting(sent)
        if !unknown.isEmpty { problems.append("never sent: \(unknown.sorted())") }
        return problems
    }

    /// A message is settled once, by its last delivery, and is not delivered afterwards.
    private func orderProblems(_ interruptions: Interruptions) -> [String] {
        var problems: [String] = []
        var repetitions = 0
        let lines = lines(.deliveries).map(DeliveryLine.init)
        for (id, lines) in Dictionary(grouping: lines, by: \.id) {
            // A suspended relay may begin a delivery long after its claim.
            let deliveries = lines.filter { !$0.isSettlement }
            repetitions += max(0, deliveries.count - 1)
            let settlements = lines.indices.filter { lines[$0].isSettlement }
            if settlements.count > 1 { problems.append("\(settlements.count) settlements of \(id)") }
            guard let end = settlements.first else { continue }
            for line in lines[end...] where !line.isSettlement && !interruptions.suspended.contains(line.process) {
                problems.append("\(id) was delivered by \(line.process) after its settlement")
            }
            let earlier = lines[..<end].filter { !interruptions.suspended.contains($0.process) }
            let own = lines[..<end].firstIndex { $0.process == lines[end].process }
            if let own, let last = earlier.last, last.process != lines[end].process,
                let other = lines[..<end].lastIndex(of: last), other > own
            {
                problems.append("\(id) was settled by \(lines[end].process) after a delivery by \(last.process)")
            }
        }
        let causes =
            interruptions.suspended.count + interruptions.killed.count
            + (interruptions.serverFailed ? relays.count : 0)
        // A relay has up to twice its concurrency in deliveries and unsettled outcomes.
        let most = 2 * Job.concurrency * causes
        if repetitions > most { problems.append("\(repetitions) repeated deliveries, and at most \(most) are allowed") }
        return problems
    }
}

/// A line of `deliveries`.
private struct DeliveryLine: Equatable {
    let isSettlement: Bool
    let id: String
    let process: String

    init(_ line: String) {
        let parts = line.split(separator: " ").map(String.init)
        (isSettlement, id, process) = (parts[0] == "settled", parts[1], parts[2])
    }
}

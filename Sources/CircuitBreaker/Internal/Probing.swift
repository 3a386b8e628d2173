internal import ReliabilityCore

/// The probes of a half-open breaker.
struct Probing: Hashable {
    struct Probe: Hashable {
        let number: Int64
        let start: Int64
        var lease: WaitPeriod
    }

    /// The running probes in the order of their admission.
    private(set) var probes: [Probe] = []
    private(set) var successes = 0
    private(set) var failures = 0
    private var nextNumber: Int64 = 0
    /// The time in nanoseconds after which the next probe loses its place.
    private var lease: Int64

    init(lease: Int64) { self.lease = lease }

    /// Removes the probes whose lease has ended.
    ///
    /// - Returns: The number of removed probes.
    mutating func removeLost(now: Int64) -> Int {
        var lost = 0
        while !probes.isEmpty, probes[0].lease.correctedRemaining(at: now) == 0 {
            probes.removeFirst()
            lost += 1
        }
        // With a constant lease, each answer of a slow dependency would come too late. Doubling gives such an answer
        // the time to count.
        if lost > 0 { lease = lease.saturatingMultiply(2) }
        return lost
    }

    /// Admits a probe if there is a place.
    ///
    /// - Returns: The number of the probe, or `nil` if there is no place.
    mutating func admit(_ configuration: Breaker.Configuration, now: Int64) -> Int64? {
        let needed = configuration.probes - successes - failures
        guard probes.count < min(needed, configuration.concurrentProbes) else { return nil }
        defer { nextNumber += 1 }
        probes.append(Probe(number: nextNumber, start: now, lease: WaitPeriod(lease, from: now)))
        return nextNumber
    }

    /// The time until the first running probe loses its place.
    func wait(now: Int64) -> Int64 { probes.first?.lease.remaining(at: now) ?? 0 }

    func isRunning(_ number: Int64) -> Bool { index(of: number) != nil }

    /// Settles a probe.
    ///
    /// - Parameters:
    ///   - number: The number of the probe. A number that is not running changes nothing.
    ///   - outcome: The outcome.
    ///   - threshold: The duration in nanoseconds above which a success is a failure, or `nil` if there is none.
    ///   - now: The time.
    mutating func settle(_ number: Int64, _ outcome: Outcome, slowerThan threshold: Int64?, now: Int64) {
        guard let index = index(of: number) else { return }
        let probe = probes.remove(at: index)
        let isSlow = threshold.map { now.saturatingSubtract(probe.start) > $0 } ?? false
        switch outcome {
        case .ignored: break
        case .success where !isSlow: successes += 1
        case .success, .failure: failures += 1
        }
    }

    /// Shortens every lease.
    mutating func shortenLeases(toAtMost limit: Int64, now: Int64) {
        lease = min(lease, limit)
        for index in probes.indices { probes[index].lease.shorten(toAtMost: limit, from: now) }
    }

    /// Reduces the number of failures to at most a limit.
    mutating func limitFailures(to limit: Int) { failures = min(failures, limit) }

    private func index(of number: Int64) -> Int? {
        // The numbers increase.
        var range = 0..<probes.count
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            if probes[middle].number == number { return middle }
            range = probes[middle].number < number ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return nil
    }
}

import CircuitBreaker
import Dedup
import Reliability
import ReliabilityCore
import Retry
import Timeout

// The laws that are judged when everything is over.

extension World {
    func judgeAll() {
        for (number, shape) in nesting.breakers.enumerated() {
            switch shape {
            case .countsFailures: judgeCount(number) { self.failures($0) }
            case .countsCalls: judgeCount(number) { self.calls($0) }
            case .trips: judgeClosing(breakers[number]) { $0.layer == .breaker(number) }
            }
        }
        if let external {
            judgeClosing(external.breaker) { if case .external = $0.layer { true } else { false } }
        }
        for (number, limit) in nesting.limits.enumerated() { judgeRate(number, limit) }
        judgeKeys()
        judgeMails()
        judgeLateValues()
    }

    // MARK: Evidence

    /// Counts what a breaker has counted, by how many failures more it opens, and compares with what it should have.
    private func judgeCount(_ number: Int, _ evidence: (Run) -> ClosedRange<Int>) {
        var (least, most) = (0, 0)
        var doubtful: [String] = []
        for run in runs where isPass(run, number) {
            let range = evidence(run)
            least += range.lowerBound
            most += range.upperBound
            if doubtful.count < 3, let end = run.attempts.first?.end {
                doubtful.append("\(run.origin.name): \(end.how.error.map(label) ?? "returned") as \(range)")
            }
        }
        let breaker = breakers[number]
        var counted = BreakerShape.never
        while counted >= 0 {
            guard let permit = try? breaker.acquire() else { break }
            permit.fail()
            counted -= 1
            if breaker.state != .closed { break }
        }
        expect(
            least <= counted && counted <= most,
            .countsEvidence,
            "breaker \(number) counted \(counted), and should have counted \(least == most ? "\(least)" : "\(least) to \(most)"); "
                + doubtful.joined(separator: ", ")
        )
    }

    /// Whether a run went through a breaker and was admitted.
    private func isPass(_ run: Run, _ number: Int) -> Bool { run.layer == .breaker(number) && !run.attempts.isEmpty }

    /// What is known of one admitted call.
    private struct Pass {
        let end: End
        /// Whether the caller left before the call ended, and before its deadline.
        let callerLeft: Bool
        /// Whether a deadline around had passed when the call ended.
        let hasExpired: Bool
        /// Whether nothing can be said.
        let isDoubtful: Bool
    }

    private func pass(_ run: Run) -> Pass? {
        guard let attempt = run.attempts.first, let end = attempt.end else { return nil }
        // Judged by where things stood when the call ended: deadlines of the same task do not move.
        var expiry = run.origin.deadline ?? .max
        var isLeftBehind = false
        for outer in run.outer.chain {
            expiry = min(expiry, outer.deadline ?? .max, outer.run?.ownDeadline ?? .max)
            if let over = outer.run?.end, over.at < end.at { isLeftBehind = true }
        }
        let loosest = min(expiry, run.origin.earliestDeadline ?? .max, run.origin.starter?.anyExpiry ?? .max)
        let left = attempt.certainlyLeft(by: end.at.time, stalls: stalls).flatMap { $0 < end.at ? $0.time : nil }
        let isNested =
            run.outer.chain.contains { $0.run?.layer == run.layer }
            || runs.contains { inner in
                inner !== run && inner.layer == run.layer && inner.outer.chain.contains { $0 === attempt }
            }
        return Pass(
            end: end.how,
            callerLeft: left.map { $0 < expiry } ?? false,
            hasExpired: end.at.time >= loosest,
            isDoubtful: isLeftBehind || isNested
                || (attempt.left != nil && left == nil && attempt.left.map { $0 < end.at } == true)
                || run.began.time >= loosest || (left.map { $0 >= expiry } ?? false)
        )
    }

    /// How many failures one admitted call is.
    private func failures(_ run: Run) -> ClosedRange<Int> {
        guard let pass = pass(run), let attempt = run.attempts.first else { return 0...0 }
        guard let error = pass.end.error else {
            // What returns after the deadline has cancelled it did not answer in time.
            return pass.hasExpired && !pass.callerLeft ? 0...1 : 0...0
        }
        if pass.isDoubtful { return 0...1 }
        if pass.callerLeft { return 0...0 }
        if isRejection(error) { return attempt.operations == 0 && !pass.hasExpired ? 0...0 : 0...1 }
        if Breaker.standardOutcome(for: error) != .failure { return pass.hasExpired ? 0...1 : 0...0 }
        if pass.hasExpired {
            // What the deadline ended is evidence; what failed by itself since need not be.
            return origin(of: error) is CancellationError && attempt.sent != nil ? 1...1 : 0...1
        }
        return attempt.operations == 0 ? 0...1 : 1...1
    }

    /// How many calls one admitted call is.
    private func calls(_ run: Run) -> ClosedRange<Int> {
        guard let pass = pass(run) else { return 0...0 }
        if pass.isDoubtful { return 0...1 }
        if pass.callerLeft { return 0...0 }
        guard let error = pass.end.error else { return pass.hasExpired ? 0...1 : 1...1 }
        if isRejection(error) || Breaker.standardOutcome(for: error) != .success { return failures(run) }
        // The dependency answered.
        return pass.hasExpired ? 0...1 : 1...1
    }

    // MARK: Closing

    private func judgeClosing(_ breaker: Breaker, _ goesThrough: (Run) -> Bool) {
        if breaker.state == .closed { return }
        guard let finalCallsBegin else { return }
        let passes = runs.filter { $0.began > finalCallsBegin && goesThrough($0) }
        let isUndisturbed = passes.allSatisfy { run in
            pass(run)?.hasExpired != true
                && run.attempts.allSatisfy { attempt in
                    guard let error = attempt.end?.how.error else { return attempt.end != nil }
                    return origin(of: error) is BreakerOpenError
                }
        }
        // A deduplicated call comes through once only.
        let calls = Set(passes.map { ObjectIdentifier($0.origin) }).count
        if calls < World.finalRounds / 2 || !isUndisturbed { return }
        expect(false, .closesInTheEnd, "a breaker is \(breaker.state) after \(passes.count) calls while all is well")
    }

    // MARK: Once

    private func judgeKeys() {
        var keys: [Layer: [Attempt]] = [:]
        for run in runs {
            if case .dedup = run.layer { keys[run.layer, default: []] += run.attempts }
        }
        for (key, attempts) in keys.sorted(by: { $0.key.source < $1.key.source }) where attempts.count > 1 {
            let attempts = attempts.sorted { $0.began < $1.began }
            for (first, second) in zip(attempts, attempts.dropFirst()) {
                let isOver = first.end.map { $0.at < second.began } ?? false
                expect(isOver, .runsOnce, "two operations of \(key.source) run at once")
                expect(
                    !isOver || first.end?.how.value == nil,
                    .runsOnce,
                    "an operation of \(key.source) begins at \(Duration.nanoseconds(second.began.time).text), "
                        + "another has returned at \(Duration.nanoseconds(first.end?.at.time ?? 0).text)"
                )
            }
        }
    }

    private func judgeMails() {
        guard let post else { return }
        for (number, mail) in post.mails.enumerated() where mail.wasSent && !isCountUncertain(mail) {
            let isDelivered = mail.deliveries.contains { $0.attempt.end?.how.value != nil }
            expect(
                isDelivered || mail.deliveries.count == Post.configuration.maxAttempts,
                .deliversOnce,
                "message \(number) was never delivered, in \(mail.deliveries.count) deliveries"
            )
        }
    }

    /// Whether the store may have counted more deliveries of a message than there were.
    ///
    /// A claim whose outcome is unknown counts, and so does each but the first that a delivery goes on under, because the
    /// process stood still for longer than its lease.
    func isCountUncertain(_ mail: Post.Mail) -> Bool {
        nesting.outage != nil || stalls.count { $0.upperBound > mail.run.began.time } > 1
    }

    private func judgeLateValues() {
        for (run, value) in lateValues {
            let isDisposed = disposedValues.contains { $0.run === run && $0.value == value }
            expect(isDisposed, .disposesLateValues, "value \(value) came late and was not disposed of")
        }
        for (run, value) in disposedValues {
            expect(
                run.end?.how.value != value,
                .disposesLateValues,
                "value \(value) was returned and disposed of"
            )
            expect(
                disposedValues.count { $0.run === run && $0.value == value } == 1,
                .disposesLateValues,
                "value \(value) was disposed of more than once"
            )
        }
    }

    // MARK: Rates

    /// Judges one limiter by the instants at which it let calls through.
    private func judgeRate(_ number: Int, _ limit: LimitShape) {
        let admitted = runs.filter { $0.layer == .limiter(number) }.compactMap { $0.attempts.first?.began.time }
            .sorted()
        let interval = Int64(limit.period / .nanoseconds(1)) / Int64(limit.count)
        for (index, first) in admitted.enumerated() {
            for (count, last) in admitted[index...].enumerated() {
                let most = Int64(limit.count) + (last - first) / interval
                expect(
                    Int64(count) < most,
                    .keepsRate,
                    "limiter \(number) let \(count + 1) calls through in \(Duration.nanoseconds(last - first).text)"
                )
            }
        }
    }
}

extension Attempt {
    /// The earliest deadline of all calls around, and of those that started the task, whether under way or not.
    fileprivate var anyExpiry: Int64 {
        var expiry = origin.deadline ?? .max
        for attempt in chain { expiry = min(expiry, attempt.deadline ?? .max, attempt.run?.ownDeadline ?? .max) }
        return min(expiry, origin.starter?.anyExpiry ?? .max)
    }
}

import CircuitBreaker
import Dedup
import Reliability
import ReliabilityCore
import Retry
import Timeout

// The laws that are judged after the end of a run.

extension NestingRun {
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
        judgePlaces()
        judgeKeys()
        judgeMessages()
        judgeLateValues()
    }

    // MARK: Outcomes

    /// Derives the count of a breaker from the further failures that open the breaker, and compares the expected count.
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
            .countsOutcomes,
            "breaker \(number) counted \(counted), and should have counted \(least == most ? "\(least)" : "\(least) to \(most)"); "
                + doubtful.joined(separator: ", ")
        )
    }

    /// Returns whether a breaker admitted a run.
    private func isPass(_ run: Run, _ number: Int) -> Bool { run.layer == .breaker(number) && !run.attempts.isEmpty }

    /// The facts about one admitted call.
    private struct Pass {
        let end: End
        /// A Boolean value that indicates whether the caller left before the end and before the deadline of the call.
        let callerLeft: Bool
        /// A Boolean value that indicates whether an enclosing deadline had passed at the end of the call.
        let hasExpired: Bool
        /// A Boolean value that indicates whether the outcome is undecided.
        let isDoubtful: Bool
    }

    private func pass(_ run: Run) -> Pass? {
        guard let attempt = run.attempts.first, let end = attempt.end else { return nil }
        // The state at the end of the call decides. Deadlines of the same task do not move.
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

    /// The possible failures of one admitted call.
    private func failures(_ run: Run) -> ClosedRange<Int> {
        guard let pass = pass(run), let attempt = run.attempts.first else { return 0...0 }
        guard let error = pass.end.error else {
            // A call that returns after its deadline did not return in time.
            return pass.hasExpired && !pass.callerLeft ? 0...1 : 0...0
        }
        if pass.isDoubtful { return 0...1 }
        if pass.callerLeft { return 0...0 }
        if isRejection(error) { return attempt.operations == 0 && !pass.hasExpired ? 0...0 : 0...1 }
        if Outcome.standard(for: error) != .failure { return pass.hasExpired ? 0...1 : 0...0 }
        if pass.hasExpired {
            // A call that the deadline ended is a failure. A call that failed later by itself may be a failure.
            return origin(of: error) is CancellationError && attempt.sent != nil ? 1...1 : 0...1
        }
        return attempt.operations == 0 ? 0...1 : 1...1
    }

    /// The possible counted calls of one admitted call.
    private func calls(_ run: Run) -> ClosedRange<Int> {
        guard let pass = pass(run) else { return 0...0 }
        if pass.isDoubtful { return 0...1 }
        if pass.callerLeft { return 0...0 }
        guard let error = pass.end.error else { return pass.hasExpired ? 0...1 : 1...1 }
        if isRejection(error) || Outcome.standard(for: error) != .success { return failures(run) }
        // The dependency responded.
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
        // A deduplicated call passes once only.
        let calls = Set(passes.map { ObjectIdentifier($0.origin) }).count
        if calls < NestingRun.finalRounds / 2 || !isUndisturbed { return }
        expect(
            false,
            .closesAfterRecovery,
            "a breaker is \(breaker.state) after \(passes.count) calls while the dependency is healthy"
        )
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
                expect(isOver, .runsOnce, "two operations of \(key.source) run simultaneously")
                expect(
                    !isOver || first.end?.how.value == nil,
                    .runsOnce,
                    "an operation of \(key.source) begins at \(Duration.nanoseconds(second.began.time).text), "
                        + "another has returned at \(Duration.nanoseconds(first.end?.at.time ?? 0).text)"
                )
            }
        }
    }

    private func judgeMessages() {
        guard let outboxService else { return }
        for (number, message) in outboxService.messages.enumerated() where message.wasSent && !isCountUncertain(message)
        {
            let isDelivered = message.deliveries.contains { $0.attempt.end?.how.value != nil }
            expect(
                isDelivered || message.deliveries.count == OutboxService.configuration.maxAttempts,
                .deliversOnce,
                "message \(number) was never delivered, in \(message.deliveries.count) deliveries"
            )
        }
    }

    /// Returns whether the store may have counted more deliveries of a message than there were.
    ///
    /// A claim with an unknown outcome counts. If the process stalls for longer than a lease, each further claim of the
    /// same delivery counts.
    func isCountUncertain(_ message: OutboxService.Message) -> Bool {
        nesting.outage != nil || stalls.count { $0.upperBound > message.run.began.time } > 1
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

    /// Judges one limiter by the instants at which the limiter admitted calls.
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
                    "limiter \(number) admitted \(count + 1) calls in \(Duration.nanoseconds(last - first).text)"
                )
            }
        }
    }
}

extension Attempt {
    /// The earliest deadline of all enclosing calls and of all calls that started the task, running or not.
    fileprivate var anyExpiry: Int64 {
        var expiry = origin.deadline ?? .max
        for attempt in chain { expiry = min(expiry, attempt.deadline ?? .max, attempt.run?.ownDeadline ?? .max) }
        return min(expiry, origin.starter?.anyExpiry ?? .max)
    }
}

import CircuitBreaker
import Dedup
import RateLimiter
import Reliability
import ReliabilityCore
import ReliabilityStore
import Retry
import Timeout

// The laws about the decisions and the errors of policies.

extension NestingRun {
    func judgeRetry(_ run: Run, _ how: End, _ most: Int) {
        guard let last = run.attempts.last, let end = last.end else {
            return expect(false, .errorNamesPolicy, "\(text(run)) \(text(how)) without an attempt")
        }
        let count = run.attempts.count
        func story() -> String {
            "\(text(run)) \(text(how)) after \(count) attempts, the last of which \(text(end.how))"
        }
        guard let thrown = end.how.error, case .threw(let error) = how else {
            return expect(how.value != nil && how.value == end.how.value, .errorNamesPolicy, story())
        }
        let hasLeft = run.outer.left != nil
        let isLast = isSame(error, thrown)
        if let error = error as? RetryError, !isLast || (thrown as? RetryError)?.attemptCount != error.attemptCount {
            expect(error.attemptCount == count && isSame(error.lastError, thrown), .errorNamesPolicy, story())
            expect(count > 1, .errorNamesPolicy, story())
            switch error.reason {
            case .attemptsExhausted: expect(count == most, .errorNamesPolicy, story())
            case .deadlineTooClose: expect(run.outer.earliestExpiry < .max, .errorNamesPolicy, story())
            default: break
            }
        } else {
            expect(isLast || (error is CancellationError && hasLeft), .errorNamesPolicy, story())
        }
        judgeCompleteness(run, thrown, most, story)
    }

    func judgeCompleteness(_ run: Run, _ thrown: any Error, _ most: Int, _ story: () -> String) {
        guard run.attempts.count < most, run.outer.left == nil,
            !run.outer.isLeftBehind,
            run.outer.earliestExpiry == .max,
            case .retry(.idempotent, _, _, _) = run.layer, !isRejection(thrown)
        else { return }
        switch RetryDecision.standard(for: thrown) {
        case .stop: return
        case .retryAfter(let wait) where wait > .seconds(60): return
        default: break
        }
        let minute: Int64 = 60_000_000_000
        var next: Attempt? = run.outer
        while let attempt = next {
            let isExtra = attempt.number > 1 && attempt.end == nil
            if isExtra, run.began.time - attempt.began.time <= minute { return }
            next = attempt.run?.outer ?? attempt.origin.starter
        }
        expect(false, .makesAllAttempts, story())
    }

    func judgeHedge(_ run: Run, _ how: End) {
        let errors = run.attempts.compactMap { $0.end?.how.error }
        func story() -> String {
            "\(text(run)) \(text(how)) after \(run.attempts.count) attempts, \(errors.count) of which threw"
        }
        switch how {
        case .returned(let value):
            expect(run.attempts.contains { $0.end?.how.value == value }, .errorNamesPolicy, story())
        case .threw(let error):
            expect(errors.count == run.attempts.count && !errors.isEmpty, .errorNamesPolicy, story())
            if let error = error as? HedgeError, errors.count > 1 {
                expect(error.attempts.count == errors.count, .errorNamesPolicy, story())
            } else {
                let isAlone = errors.count == 1 || run.outer.left != nil || run.outer.isLeftBehind
                expect(isAlone && errors.contains { isSame($0, error) }, .errorNamesPolicy, story())
            }
        }
    }

    // MARK: Admission

    /// Judges a layer that runs its inside or throws its own error.
    func judgeAdmission(_ run: Run, _ how: End, _ isOwn: (any Error) -> Bool) {
        let end = run.attempts.first?.end
        func story() -> String {
            "\(text(run)) \(text(how)), its operation \(end.map { text($0.how) } ?? "did not begin")"
        }
        switch (how, end?.how) {
        case (.returned(let value), .returned(let inner)?): expect(value == inner, .errorNamesPolicy, story())
        case (.threw(let error), .threw(let inner)?): expect(isSame(error, inner), .errorNamesPolicy, story())
        case (.threw(let error), nil): expect(isOwn(error), .errorNamesPolicy, story())
        default: expect(false, .errorNamesPolicy, story())
        }
    }

    func judgeDedup(_ run: Run, _ how: End) {
        guard run.attempts.isEmpty, case .returned(let value) = how else {
            return judgeAdmission(run, how) { $0 is DedupError || ($0 is CancellationError && self.isCancelled(run)) }
        }
        let isKnown = runs.contains { other in
            other.layer == run.layer && other.attempts.contains { $0.end?.how.value == value }
        }
        expect(isKnown, .runsOnce, "\(text(run)) replayed \(value), which no operation returned")
    }

    func judgeFallback(_ run: Run, _ how: End) {
        guard let end = run.attempts.first?.end else { return }
        let left = run.outer.certainlyLeft(by: end.at.time, stalls: stalls)
        let hasLeft = left.map { $0 < end.at && $0.time < min(end.at.time, run.outer.earliestExpiry) } ?? false
        func story() -> String {
            "\(text(run)) \(text(how)) at \(ms(now)), its operation \(text(end.how)) at \(ms(end.at.time))"
                + (left.map { ", the caller left at \(ms($0.time))" } ?? "")
        }
        switch (how, end.how) {
        case (.returned(let value), .returned(let inner)): expect(value == inner, .errorNamesPolicy, story())
        case (.returned(let value), .threw):
            expect(value == NestingRun.fallbackValue || value == run.sourceValue, .errorNamesPolicy, story())
            expect(!hasLeft, .answersAtDeadline, story())
        case (.threw(let error), .threw(let inner)):
            expect(isSame(error, inner), .errorNamesPolicy, story())
            // A value for a call that has ended is lost.
            let hasAsker = run.outer.left == nil && !run.outer.isLeftBehind
            expect(!hasAsker || !(FallbackDecision.standard(for: inner) == .answer), .answersAtDeadline, story())
        case (.threw, .returned): expect(false, .errorNamesPolicy, story())
        }
    }

    func judgeExternal(_ run: Run, _ how: End) {
        let last = run.attempts.last?.end
        func story() -> String {
            "\(text(run)) \(text(how)) after \(run.attempts.count) attempts"
        }
        switch how {
        case .returned(let value): expect(value == last?.how.value, .errorNamesPolicy, story())
        case .threw(let error):
            let isOwn = error is TimeoutError || error is RetryError || error is BreakerOpenError
            let isCancellation = error is CancellationError && isCancelled(run)
            expect(
                isOwn || isCancellation || (last?.how.error.map { isSame($0, error) } ?? false),
                .errorNamesPolicy,
                story()
            )
        }
    }

    // MARK: Errors

    /// Judges an error that the layer created, or that describes attempts before the last attempt.
    func judgeReportedSending(of error: any Error, _ run: Run) {
        let last = run.attempts.last
        let isMade: Bool
        switch run.layer {
        case .timeout, .movedTimeout, .abandoning:
            let expiry = min(run.ownDeadline ?? .max, run.outer.expiry)
            isMade = error is TimeoutError && now >= expiry && (run.outer.left?.time ?? .max) >= expiry
        case .retry: isMade = error is RetryError && !(last?.end?.how.error is RetryError)
        case .hedge: isMade = error is HedgeError && run.attempts.count > 1
        case .external:
            isMade = run.outer.left == nil && (error is RetryError || error is TimeoutError)
        default: isMade = false
        }
        if case .hedge = run.layer, !isMade { return }
        let answersFor = isMade ? run.attempts[...] : run.attempts.dropLast()
        guard answersFor.contains(where: { $0.sent != nil }) else { return }
        func story() -> String {
            "\(text(run)) threw \(label(error)) after \(run.attempts.count) attempts"
        }
        let word = error as? any ReliabilityError
        expect(word?.mayHaveBeenSent ?? true, .reportsWhatWasSent, "\(story()), which says that nothing was sent")
        // Rejections from inside the operation are not failures either.
        let wereRejected = answersFor.allSatisfy { $0.end?.how.error.map(isRejection) ?? false }
        expect(
            wereRejected || !isRejection(error),
            .reportsWhatWasSent,
            "\(story()), which is a rejection"
        )
    }

    // MARK: Deliveries

    func judgeDelivery(_ number: Int, of message: OutboxService.Message) {
        expect(
            number == message.deliveries.count + 1 || number > message.deliveries.count && isCountUncertain(message),
            .deliversOnce,
            "delivery \(message.deliveries.count + 1) of a message has the number \(number)"
        )
        expect(
            !message.deliveries.contains { $0.attempt.end?.how.value != nil },
            .deliversOnce,
            "delivery \(number) of a message began after another had returned"
        )
        expect(
            message.deliveries.allSatisfy { $0.attempt.end != nil },
            .deliversOnce,
            "delivery \(number) of a message began during another delivery"
        )
    }
}

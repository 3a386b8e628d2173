import CircuitBreaker
import Dedup
import RateLimiter
import Reliability
import ReliabilityCore
import ReliabilityStore
import Retry
import Timeout

// The laws that one run of a layer can break, judged where it begins an attempt and when it ends.

extension Attempt {
    /// The earliest deadline of this attempt and of the runs of the same task around it that have not ended, or `Int64.max`.
    var expiry: Int64 {
        var expiry = origin.deadline ?? .max
        for attempt in chain {
            expiry = min(expiry, attempt.deadline ?? .max)
            if let run = attempt.run, run.end == nil { expiry = min(expiry, run.ownDeadline ?? .max) }
        }
        return expiry
    }

    /// The same, with the deadlines of the runs that have left this attempt behind, and of the calls that started the task
    /// and are still under way.
    ///
    /// These may bound what is inside, and need not.
    var earliestExpiry: Int64 {
        let ended = chain.compactMap { $0.run?.end == nil ? nil : $0.run?.ownDeadline }.min() ?? .max
        return min(expiry, ended, origin.starter?.expiryUnderWay ?? .max)
    }

    /// The earliest deadline that came, or will come, while its run was under way.
    private var expiryUnderWay: Int64 {
        var expiry = min(expiry, origin.starter?.expiryUnderWay ?? .max)
        for attempt in chain {
            guard let run = attempt.run, let end = run.end, let deadline = run.ownDeadline else { continue }
            if end.at.time >= deadline { expiry = min(expiry, deadline) }
        }
        return expiry
    }

    /// When the caller, or a hedge that another attempt won, cancelled this attempt.
    var left: Moment? {
        var left = origin.left
        for attempt in chain {
            guard let run = attempt.run, case .hedge = run.layer, let won = run.won,
                attempt.end.map({ $0.at > won }) ?? true
            else { continue }
            left = min(left ?? won, won)
        }
        return left
    }

    /// Whether a layer around has ended and left this attempt behind.
    var isLeftBehind: Bool { chain.contains { $0.run?.end != nil } }
}

extension World {
    func judge(_ run: Run, _ how: End) {
        switch run.layer {
        case .timeout, .movedTimeout, .timeoutOrDefault: judgeTimeout(run, how)
        case .abandoning(_, let grace): judgeAbandoning(run, how, grace)
        case .retry(_, let attempts, _): judgeRetry(run, how, attempts)
        case .hedge: judgeHedge(run, how)
        case .breaker: judgeGate(run, how) { $0 is BreakerOpenError }
        case .limiter:
            judgeGate(run, how) { $0 is RateLimitError || ($0 is CancellationError && self.isCancelled(run)) }
        case .dedup: judgeDedup(run, how)
        case .fallback, .fallbackTo: judgeFallback(run, how)
        case .external: judgeExternal(run, how)
        case .outbox, .pipeline: break
        }
        judgeTime(run)
        if case .threw(let error) = how { judgeWord(of: error, run) }
    }

    private func text(_ run: Run) -> String {
        "\(run.layer.source) of \(run.origin.name), begun at \(ms(run.began.time)),"
    }

    private func ms(_ time: Int64) -> String { Duration.nanoseconds(time).text }

    private func text(_ how: End) -> String {
        switch how {
        case .returned(World.defaultValue): "returned its default"
        case .returned(World.fallbackValue): "fell back"
        case .returned: "returned"
        case .threw(let error): "threw \(label(error))"
        }
    }

    private func isCancelled(_ run: Run) -> Bool {
        run.outer.left != nil || run.outer.earliestExpiry <= now || run.outer.isLeftBehind
    }

    // MARK: Beginnings

    func judgeBeginning(of attempt: Attempt, in run: Run) {
        let previous = run.attempts.last
        var most = 1
        switch run.layer {
        case .retry(let idempotency, let attempts, _):
            most = attempts
            judgeRepetition(run, idempotency)
        case .external(let idempotency):
            most = ExternalCallConfiguration.externalAPI(idempotency).maxAttempts
            judgeRepetition(run, idempotency)
        case .hedge: most = 2
        default: break
        }
        expect(attempt.number <= most, .boundsAttempts, "\(text(run)) began attempt \(attempt.number)")
        guard case .retry = run.layer, let previous, let end = previous.end else { return }
        let wait = (end.how.error as? any ReliabilityError)?.retryAfter ?? .zero
        expect(
            now - end.at.time >= Int64(wait / .nanoseconds(1)),
            .boundsAttempts,
            "\(text(run)) began attempt \(attempt.number) after \(ms(now - end.at.time)) and was asked to wait \(wait.text)"
        )
        expect(
            run.outer.left == nil,
            .boundsAttempts,
            "\(text(run)) began attempt \(attempt.number) at \(ms(now)) after its caller had left"
        )
        expect(
            now < run.outer.expiry,
            .boundsAttempts,
            "\(text(run)) began attempt \(attempt.number) at \(ms(now)), the deadline was at \(ms(run.outer.expiry))"
        )
    }

    private func judgeRepetition(_ run: Run, _ idempotency: Idempotency) {
        guard idempotency == .notIdempotent, let sent = run.attempts.first(where: { $0.sent != nil }) else { return }
        expect(
            false,
            .sentOnce,
            "\(text(run)) began attempt \(run.attempts.count + 1) although attempt \(sent.number) had sent, "
                + "after \(run.attempts.last?.end.map { text($0.how) } ?? "nothing")"
        )
    }

    // MARK: Time

    private func judgeTime(_ run: Run) {
        if case .abandoning = run.layer { return }
        let busy = max(run.began.time, run.busyUntil, stalledUntil)
        if let limit = run.ownDeadline {
            let due = min(limit, run.outer.expiry)
            expect(now <= max(due, busy), .returnsInTime, "\(text(run)) ended at \(ms(now)), due at \(ms(due))")
        }
        if let left = run.outer.left, nesting.outage == nil || !run.usesStore {
            expect(
                now <= max(left.time, busy, run.busyForCallerUntil),
                .returnsInTime,
                "\(text(run)) ended at \(ms(now)), its caller left at \(ms(left.time))"
            )
        }
    }

    private func judgeTimeout(_ run: Run, _ how: End) {
        let hasDefault = if case .timeoutOrDefault = run.layer { true } else { false }
        let limit = run.ownDeadline ?? .max
        let expiry = min(limit, run.outer.expiry)
        let earliest = min(limit, run.outer.earliestExpiry)
        guard let attempt = run.attempts.first else {
            expect(
                earliest <= run.began.time,
                earliest == expiry ? .clockDecides : .deadlineEndsWithCall,
                "\(text(run)) did not begin its operation and \(text(how)), the deadline was at \(ms(earliest))"
            )
            switch how {
            case .returned(let value):
                expect(hasDefault && value == World.defaultValue, .clockDecides, "\(text(run)) returned \(value)")
            case .threw(let error):
                if hasDefault {
                    expect(false, .answersWhenTimeIsUp, "\(text(run)) \(text(how)) when no time was left")
                } else {
                    expect(error is TimeoutError, .clockDecides, "\(text(run)) \(text(how)) when no time was left")
                }
            }
            return
        }
        guard let end = attempt.end else {
            return expect(false, .everyCallEnds, "\(text(run)) ended before its operation")
        }
        guard let thrown = end.how.error else {
            return expect(
                how.value == end.how.value,
                .clockDecides,
                "\(text(run)) \(text(how)), its operation returned"
            )
        }
        let time = end.at.time
        let left = run.outer.left.flatMap { $0 < end.at ? $0.time : nil } ?? .max
        let story =
            "\(text(run)) \(text(how)), its operation threw \(label(thrown)) at \(ms(time)), "
            + "the deadline was at \(ms(expiry))" + (left == .max ? "" : ", the caller left at \(ms(left))")
        let isExpired: Bool
        switch how {
        case .returned(let value):
            isExpired = true
            expect(hasDefault && value == World.defaultValue, .clockDecides, story)
        case .threw(let error):
            isExpired = error is TimeoutError && (!(thrown is TimeoutError) || time >= earliest && left >= earliest)
            expect(isExpired || isSame(error, thrown), .errorNamesPolicy, story)
            if hasDefault, time >= expiry, left > expiry { expect(false, .answersWhenTimeIsUp, story) }
        }
        if isExpired {
            let wasExpired = time >= earliest && left >= earliest
            let isOverdue = run.origin.starter == nil || expiry != limit || time >= limit
            expect(wasExpired, isOverdue ? .clockDecides : .deadlineEndsWithCall, story)
        } else {
            expect(time < expiry || left <= expiry, .clockDecides, story)
        }
    }

    private func judgeAbandoning(_ run: Run, _ how: End, _ grace: Duration) {
        // Whoever is inside cannot interrupt the grace.
        run.outer.cannotBeInterrupted(until: now)
        let grace = Int64(grace / .nanoseconds(1))
        let limit = run.ownDeadline ?? .max
        let expiry = min(limit, run.outer.expiry)
        let earliest = min(limit, run.outer.earliestExpiry)
        let left = run.outer.left?.time ?? .max
        let attempt = run.attempts.first
        let end = attempt?.end
        let story =
            "\(text(run)) \(text(how)) at \(ms(now)), its operation "
            + (end.map { "\(text($0.how)) at \(ms($0.at.time))" } ?? (attempt == nil ? "did not begin" : "runs on"))
            + ", the deadline was at \(ms(expiry))" + (left == .max ? "" : ", the caller left at \(ms(left))")
        let due = min(expiry, left)
        if due != .max {
            expect(
                now <= max(due.saturatingAdd(grace), run.began.time.saturatingAdd(grace), stalledUntil),
                .returnsInTime,
                story
            )
        }
        switch how {
        case .returned(let value):
            expect(end?.how.value == value, .errorNamesPolicy, story)
        case .threw(let error as TimeoutError):
            if let thrown = end?.how.error as? TimeoutError, now < earliest || left < earliest {
                // It is the operation's own.
                return expect(isSame(error, thrown), .errorNamesPolicy, story)
            }
            expect(now >= earliest && left >= earliest, .clockDecides, story)
            if error.isAbandoned, error.underlyingError == nil, now > stalledUntil {
                expect(now >= earliest.saturatingAdd(grace), .returnsInTime, story)
            }
        case .threw(let error):
            if let end, let thrown = end.how.error, isSame(error, thrown) {
                expect(end.at.time < expiry || left <= expiry, .clockDecides, story)
            } else {
                expect(error is CancellationError && left <= expiry, .clockDecides, story)
            }
        }
    }

    // MARK: Repetition

    private func judgeRetry(_ run: Run, _ how: End, _ most: Int) {
        guard let last = run.attempts.last, let end = last.end else {
            return expect(false, .errorNamesPolicy, "\(text(run)) \(text(how)) without an attempt")
        }
        let count = run.attempts.count
        let story = "\(text(run)) \(text(how)) after \(count) attempts, the last of which \(text(end.how))"
        guard let thrown = end.how.error, case .threw(let error) = how else {
            return expect(how.value != nil && how.value == end.how.value, .errorNamesPolicy, story)
        }
        let hasLeft = run.outer.left != nil
        let isLast = isSame(error, thrown)
        if let error = error as? RetryError, !isLast || (thrown as? RetryError)?.attemptCount != error.attemptCount {
            expect(error.attemptCount == count && isSame(error.lastError, thrown), .errorNamesPolicy, story)
            expect(count > 1 || !isRejection(thrown), .errorNamesPolicy, story)
            switch error.reason {
            case .attemptsExhausted: expect(count == most, .errorNamesPolicy, story)
            case .deadlineTooClose: expect(run.outer.earliestExpiry < .max, .errorNamesPolicy, story)
            default: break
            }
        } else {
            expect(isLast || (error is CancellationError && hasLeft), .errorNamesPolicy, story)
        }
        judgeCompleteness(run, thrown, most, story)
    }

    private func judgeCompleteness(_ run: Run, _ thrown: any Error, _ most: Int, _ story: String) {
        guard run.attempts.count < most, run.outer.left == nil, !run.outer.isLeftBehind,
            run.outer.earliestExpiry == .max,
            case .retry(.idempotent, _, _) = run.layer, !isRejection(thrown)
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
        expect(false, .makesItsAttempts, story)
    }

    private func judgeHedge(_ run: Run, _ how: End) {
        let errors = run.attempts.compactMap { $0.end?.how.error }
        let story = "\(text(run)) \(text(how)) after \(run.attempts.count) attempts, \(errors.count) of which threw"
        switch how {
        case .returned(let value):
            expect(run.attempts.contains { $0.end?.how.value == value }, .errorNamesPolicy, story)
        case .threw(let error):
            expect(errors.count == run.attempts.count && !errors.isEmpty, .errorNamesPolicy, story)
            if let error = error as? HedgeError, errors.count > 1 {
                expect(error.attempts.count == errors.count, .errorNamesPolicy, story)
            } else {
                let isAlone = errors.count == 1 || run.outer.left != nil
                expect(isAlone && errors.contains { isSame($0, error) }, .errorNamesPolicy, story)
            }
        }
    }

    // MARK: Admission

    /// A layer that begins its inside or throws an error of its own.
    private func judgeGate(_ run: Run, _ how: End, _ isOwn: (any Error) -> Bool) {
        let end = run.attempts.first?.end
        let story = "\(text(run)) \(text(how)), its operation \(end.map { text($0.how) } ?? "did not begin")"
        switch (how, end?.how) {
        case (.returned(let value), .returned(let inner)?): expect(value == inner, .errorNamesPolicy, story)
        case (.threw(let error), .threw(let inner)?): expect(isSame(error, inner), .errorNamesPolicy, story)
        case (.threw(let error), nil): expect(isOwn(error), .errorNamesPolicy, story)
        default: expect(false, .errorNamesPolicy, story)
        }
    }

    private func judgeDedup(_ run: Run, _ how: End) {
        guard run.attempts.isEmpty, case .returned(let value) = how else {
            return judgeGate(run, how) { $0 is DedupError || ($0 is CancellationError && self.isCancelled(run)) }
        }
        let isKnown = runs.contains { other in
            other.layer == run.layer && other.attempts.contains { $0.end?.how.value == value }
        }
        expect(isKnown, .runsOnce, "\(text(run)) replayed \(value), which no operation returned")
    }

    private func judgeFallback(_ run: Run, _ how: End) {
        guard let end = run.attempts.first?.end else { return }
        let left = run.outer.left
        let hasLeft = left.map { $0 < end.at && $0.time < run.outer.expiry } ?? false
        let isTied = left.map { $0.time >= min(end.at.time, run.outer.expiry) } ?? false
        let story =
            "\(text(run)) \(text(how)) at \(ms(now)), its operation \(text(end.how)) at \(ms(end.at.time))"
            + (left.map { ", the caller left at \(ms($0.time))" } ?? "")
        switch (how, end.how) {
        case (.returned(let value), .returned(let inner)): expect(value == inner, .errorNamesPolicy, story)
        case (.returned(let value), .threw):
            expect(value == World.fallbackValue || value == run.sourceValue, .errorNamesPolicy, story)
            expect(!hasLeft || isTied, .answersWhenTimeIsUp, story)
        case (.threw(let error), .threw(let inner)):
            expect(isSame(error, inner), .errorNamesPolicy, story)
            let isFaultOfRequest = Breaker.standardOutcome(for: inner) == .ignored
            expect(isFaultOfRequest || left != nil, .answersWhenTimeIsUp, story)
        case (.threw, .returned): expect(false, .errorNamesPolicy, story)
        }
    }

    private func judgeExternal(_ run: Run, _ how: End) {
        let last = run.attempts.last?.end
        let story = "\(text(run)) \(text(how)) after \(run.attempts.count) attempts"
        switch how {
        case .returned(let value): expect(value == last?.how.value, .errorNamesPolicy, story)
        case .threw(let error):
            let isOwn = error is TimeoutError || error is RetryError || error is BreakerOpenError
            let isCancellation = error is CancellationError && isCancelled(run)
            expect(
                isOwn || isCancellation || (last?.how.error.map { isSame($0, error) } ?? false),
                .errorNamesPolicy,
                story
            )
        }
    }

    // MARK: What errors say

    /// Judges an error that the layer made, or that has to answer for attempts before the last one.
    private func judgeWord(of error: any Error, _ run: Run) {
        let last = run.attempts.last
        let isMade: Bool
        switch run.layer {
        case .timeout, .movedTimeout, .abandoning:
            isMade = error is TimeoutError && now >= min(run.ownDeadline ?? .max, run.outer.expiry)
        case .retry: isMade = error is RetryError && !(last?.end?.how.error is RetryError)
        case .hedge: isMade = error is HedgeError && run.attempts.count > 1
        case .external: isMade = error is RetryError || error is TimeoutError
        default: isMade = false
        }
        if case .hedge = run.layer, !isMade { return }
        let answersFor = isMade ? run.attempts[...] : run.attempts.dropLast()
        guard answersFor.contains(where: { $0.sent != nil }) else { return }
        let story = "\(text(run)) threw \(label(error)) after \(run.attempts.count) attempts"
        let word = error as? any ReliabilityError
        expect(word?.mayHaveBeenSent ?? true, .saysWhatWasSent, "\(story), which says that nothing was sent")
        // Only a pipeline knows whether a rejection came from one of its policies or from inside the operation.
        let isKnown = run.isInPipeline || !answersFor.allSatisfy { $0.end?.how.error.map(isRejection) ?? false }
        expect(!isKnown || !isRejection(error), .saysWhatWasSent, "\(story), which says that the call was rejected")
    }

    // MARK: Tasks that are left behind

    /// Judges the deadline that a task sees that a call has left behind.
    func judgeDeadline(in origin: Origin) {
        // Each time source counts from an origin of its own.
        let found = Deadline.current.map { $0.instant.saturatingSubtract($0.timeSource.now).saturatingAdd(now) }
        var certain: [Int64] = []
        var possible: [Int64] = []
        var next = origin.starter
        while let attempt = next {
            for deadline in [attempt.deadline, attempt.run?.ownDeadline].compactMap(\.self)
            where attempt.run?.end == nil {
                if attempt.end == nil { certain.append(deadline) } else { possible.append(deadline) }
            }
            if attempt.run == nil {
                if let deadline = attempt.origin.deadline {
                    if attempt.end == nil { certain.append(deadline) } else { possible.append(deadline) }
                }
                next = attempt.origin.starter
            } else {
                next = attempt.run?.outer
            }
        }
        let isRight = found == certain.min() || (found.map { possible.contains($0) } ?? false)
        expect(
            isRight,
            .deadlineEndsWithCall,
            "a task that a call left behind has \(found.map { "the deadline \(ms($0))" } ?? "no deadline") at \(ms(now)), "
                + "the calls under way have \(certain.map(ms))"
        )
    }

    func judgeDelivery(_ number: Int, of mail: Post.Mail) {
        expect(
            number == mail.deliveries.count + 1 || nesting.outage != nil && number > mail.deliveries.count,
            .deliversOnce,
            "delivery \(mail.deliveries.count + 1) of a message has the number \(number)"
        )
        expect(
            !mail.deliveries.contains { $0.attempt.end?.how.value != nil },
            .deliversOnce,
            "delivery \(number) of a message began after another had returned"
        )
        expect(
            mail.deliveries.allSatisfy { $0.attempt.end != nil },
            .deliversOnce,
            "delivery \(number) of a message began while another was under way"
        )
    }
}

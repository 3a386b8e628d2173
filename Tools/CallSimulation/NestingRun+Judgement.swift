import Bulkhead
import CircuitBreaker
import RateLimiter
import Reliability
import ReliabilityCore
import Retry

// The laws that one run of a layer can violate.

extension NestingRun {
    func judge(_ run: Run, _ how: End) {
        switch run.layer {
        case .timeout, .movedTimeout, .timeoutOrDefault: judgeTimeout(run, how)
        case .abandoning(_, let grace): judgeAbandoning(run, how, grace)
        case .retry(_, let attempts, _, _): judgeRetry(run, how, attempts)
        case .hedge: judgeHedge(run, how)
        case .breaker: judgeAdmission(run, how) { $0 is BreakerOpenError }
        case .limiter:
            judgeAdmission(run, how) { $0 is LimiterError || ($0 is CancellationError && self.isCancelled(run)) }
        case .bulkhead:
            judgeWait(run)
            judgeAdmission(run, how) { $0 is BulkheadError || ($0 is CancellationError && self.isCancelled(run)) }
        case .dedup: judgeDedup(run, how)
        case .fallback, .fallbackTo: judgeFallback(run, how)
        case .external: judgeExternal(run, how)
        case .outbox, .pipeline: break
        }
        judgeTime(run)
        if case .threw(let error) = how { judgeReportedSending(of: error, run) }
    }

    func text(_ run: Run) -> String {
        "\(run.layer.source) of \(run.origin.name), begun at \(ms(run.began.time)),"
    }

    func ms(_ time: Int64) -> String { Duration.nanoseconds(time).text }

    func text(_ how: End) -> String {
        switch how {
        case .returned(NestingRun.defaultValue): "returned its default"
        case .returned(NestingRun.fallbackValue): "fell back"
        case .returned: "returned"
        case .threw(let error): "threw \(label(error))"
        }
    }

    func isCancelled(_ run: Run) -> Bool {
        run.outer.left != nil || run.outer.earliestExpiry <= now
            || run.outer.isLeftBehind
    }

    // MARK: Beginnings

    func judgeBeginning(of attempt: Attempt, in run: Run) {
        let previous = run.attempts.last
        var most = 1
        switch run.layer {
        case .retry(let idempotency, let attempts, _, _):
            most = attempts
            judgeRepetition(run, idempotency)
        case .external(let idempotency):
            most = ExternalCall.Configuration.externalAPI(idempotency).maxAttempts
            judgeRepetition(run, idempotency)
        case .hedge: most = 2
        case .bulkhead(let number): judgePlace(for: attempt, number)
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
            run.outer.certainlyLeft(by: now, stalls: stalls) == nil,
            .boundsAttempts,
            "\(text(run)) began attempt \(attempt.number) at \(ms(now)) after its caller had left"
        )
        expect(
            now < run.outer.expiry,
            .boundsAttempts,
            "\(text(run)) began attempt \(attempt.number) at \(ms(now)), the deadline was at \(ms(run.outer.expiry))"
        )
    }

    func judgeRepetition(_ run: Run, _ idempotency: Idempotency) {
        guard idempotency == .notIdempotent, let sent = run.attempts.first(where: { $0.sent != nil }) else { return }
        expect(
            false,
            .sentOnce,
            "\(text(run)) began attempt \(run.attempts.count + 1) although attempt \(sent.number) had sent, "
                + "after \(run.attempts.last?.end.map { text($0.how) } ?? "nothing")"
        )
    }
}

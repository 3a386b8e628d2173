internal import ReliabilityCore
internal import ReliabilityStore
internal import Retry

/// What becomes of a message after a delivery.
enum DeliveryVerdict: Sendable {
    case done
    case retry(after: Duration, error: any Error)
    case dead(any Error)
    /// Given back: the relay stops.
    case release

    /// Judges a delivery.
    ///
    /// - Parameters:
    ///   - result: What the handler did.
    ///   - isStopping: Whether the relay stops and has cancelled the handler.
    ///   - isLate: Whether the handler was cancelled because it took too long.
    ///   - attempt: Which delivery it was.
    ///   - configuration: The relay's configuration.
    ///   - classify: What an error means.
    ///   - random: Where jitter comes from.
    init(
        _ result: Result<Void, any Error>,
        isStopping: Bool,
        isLate: Bool,
        attempt: Int,
        configuration: OutboxRelayConfiguration,
        classify: (any Error) -> RetryDecision,
        random: RandomSource
    ) {
        guard case .failure(let thrown) = result else {
            self = .done
            return
        }
        if isStopping {
            self = .release
            return
        }
        let error = isLate ? OutboxError(.timeLimitExceeded, underlyingError: thrown) : thrown
        var floor = Duration.zero
        switch classify(error) {
        case .stop:
            self = .dead(error)
            return
        case .retryAfter(let wait): floor = min(wait, configuration.maximumRetryAfter)
        case .retry: break
        }
        if attempt >= configuration.maxAttempts {
            self = .dead(error)
        } else {
            let wait = configuration.backoff.wait(afterAttempt: attempt, random: random)
            self = .retry(after: max(floor, wait), error: error)
        }
    }

    /// What is stored: a code, never a message, which may have secrets in it.
    private static func reason(_ error: any Error) -> String {
        (error as? any ReliabilityError)?.code.rawValue ?? "outbox.handler_failed"
    }

    func action(for claim: RecordClaim) -> Settlement.Action {
        switch self {
        case .done: .done
        case .retry(let wait, _): .retry(after: wait, countsAttempt: true)
        case .dead(let error): .dead(reason: Self.reason(error))
        case .release: claim.giveBack(after: .zero)
        }
    }

    func event(id: String, attempt: Int) -> OutboxEvent {
        switch self {
        case .done: .delivered(id: id, attempt: attempt)
        case .retry(let wait, let error): .retrying(id: id, attempt: attempt, after: wait, error: error)
        case .dead(let error): .dead(id: id, attempt: attempt, error: error)
        case .release: .released(id: id)
        }
    }
}

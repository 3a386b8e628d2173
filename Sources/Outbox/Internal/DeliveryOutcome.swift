internal import ReliabilityCore
internal import ReliabilityStore
internal import Retry

/// The outcome of a delivery for the store.
enum DeliveryOutcome: Sendable {
    case done
    case retry(after: Duration, error: any Error)
    /// Another delivery without counting the failed delivery as an attempt.
    case postpone(after: Duration, error: any Error)
    case deadLetter(any Error)
    /// The return of the message to the store because the relay stops.
    case release

    /// Creates the outcome of a delivery.
    ///
    /// - Parameters:
    ///   - result: The result of the handler.
    ///   - cancelsHandlers: A Boolean value that indicates whether the relay stops and has cancelled the handler.
    ///   - isLate: A Boolean value that indicates whether the delivery exceeded its timeout.
    ///   - attempt: The number of the delivery, from 1.
    ///   - configuration: The relay's configuration.
    ///   - classify: The decision about an error.
    ///   - random: The source of jitter.
    init(
        _ result: Result<Void, any Error>,
        cancelsHandlers: Bool,
        isLate: Bool,
        attempt: Int,
        configuration: OutboxRelay.Configuration,
        classify: (any Error) -> DeliveryDecision,
        random: RandomSource
    ) {
        guard case .failure(let thrown) = result else {
            self = .done
            return
        }
        if cancelsHandlers {
            self = .release
            return
        }
        let error = isLate ? OutboxError(.deliveryTimedOut, underlyingError: thrown) : thrown
        var floor = Duration.zero
        switch classify(error) {
        case .deadLetter:
            self = .deadLetter(error)
            return
        case .postpone(let wait):
            self = .postpone(after: max(.zero, wait), error: error)
            return
        case .retryAfter(let wait): floor = min(wait, configuration.maxRetryAfter)
        case .retry: break
        }
        if attempt >= configuration.maxAttempts {
            self = .deadLetter(error)
        } else {
            let wait = configuration.backoff.wait(afterAttempt: attempt, random: random)
            self = .retry(after: max(floor, wait), error: error)
        }
    }

    /// The reason that is stored with a dead letter.
    ///
    /// The reason is a code and never a message, because a message may contain secrets.
    private static func reason(_ error: any Error) -> String {
        error.reliability?.code.rawValue ?? "outbox.handler_failed"
    }

    func action(for claim: RecordClaim) -> Settlement.Action {
        switch self {
        case .done: .done
        case .retry(let wait, _): .retry(after: wait, countsAttempt: true)
        case .postpone(let wait, _): .retry(after: wait, countsAttempt: false)
        case .deadLetter(let error): .deadLetter(reason: Self.reason(error))
        case .release: claim.giveBack(after: .zero)
        }
    }

    func event(id: String, attempt: Int) -> OutboxEvent {
        switch self {
        case .done: .delivered(id: id, attempt: attempt)
        case .retry(let wait, let error): .retrying(id: id, attempt: attempt, after: wait, error: error)
        case .postpone(let wait, let error): .postponed(id: id, attempt: attempt, after: wait, error: error)
        case .deadLetter(let error): .deadLettered(id: id, attempt: attempt, error: error)
        case .release: .released(id: id)
        }
    }
}

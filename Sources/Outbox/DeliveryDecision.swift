internal import ReliabilityCore

/// The decision about a failed delivery.
@nonexhaustive
public enum DeliveryDecision: Hashable, Sendable {
    /// Another delivery after the wait of the backoff.
    case retry
    /// Another delivery after the wait of the backoff, but no sooner than this time.
    ///
    /// A longer time than ``OutboxRelay/Configuration/maxRetryAfter`` is cut to that limit.
    case retryAfter(Duration)
    /// Another delivery after this time, without counting the failed delivery.
    ///
    /// The decision for a consumer that is known to be closed, such as a paused customer. A postponed delivery never
    /// makes a message a dead letter. The time has no upper limit. A negative time counts as zero.
    case postpone(Duration)
    /// No further delivery. The message becomes a dead letter immediately.
    case deadLetter

    /// Returns the default decision about an error: another delivery, no sooner than the error's `retryAfter`.
    ///
    /// - Parameter error: The error of the delivery.
    /// - Returns: The decision.
    public static func standard(for error: any Error) -> DeliveryDecision {
        error.reliability?.retryAfter.map { .retryAfter($0) } ?? .retry
    }
}

internal import ReliabilityCore

/// The decision about another attempt of a failed call.
public enum RetryDecision: Hashable, Sendable {
    /// The call is retried after the wait of the backoff.
    case retry
    /// The call is retried after at least this wait.
    case retryAfter(Duration)
    /// The call is not retried, because the same call would fail in the same way.
    case stop

    /// Returns the default decision for an error.
    ///
    /// - A `ReliabilityError` of the category `timeout`, `unavailable` or `rateLimited` is retried. The wait is at
    ///   least the error's `retryAfter`.
    /// - A rejection by another policy is retried only if the rejection has a `retryAfter`.
    /// - A `ReliabilityError` of another category is not retried.
    /// - A ``RetryError`` is not retried, because an inner policy gave up.
    /// - A ``HedgeError`` is retried if its ``HedgeError/decisiveError`` is retried. The wait is at least the
    ///   ``HedgeError/retryAfter``.
    /// - An error that does not conform to `ReliabilityError` is retried, because most such errors come from a network.
    ///
    /// A `CancellationError` does not conform and is retried. A policy classifies no error of a call that the caller
    /// has cancelled, so the `CancellationError` came from inside the call.
    ///
    /// A classification cannot override ``RetryPolicy/Configuration/maxRejectionWait``. The policy retries a rejection
    /// only within that time.
    ///
    /// - Parameter error: The error of the call.
    /// - Returns: The decision.
    public static func standard(for error: any Error) -> RetryDecision {
        if error is RetryError { return .stop }
        if let error = error as? HedgeError {
            if standard(for: error.decisiveError) == .stop { return .stop }
            return error.retryAfter.map { .retryAfter($0) } ?? .retry
        }
        guard let error = error.reliability else { return .retry }
        guard error.category.isTransient else { return .stop }
        if let wait = error.retryAfter { return .retryAfter(wait) }
        return error.isRejection ? .stop : .retry
    }
}

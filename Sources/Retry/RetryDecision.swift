internal import ReliabilityCore

/// Whether a failed call is tried again.
public enum RetryDecision: Hashable, Sendable {
    /// Try again after the backoff's wait.
    case retry
    /// Try again, and no sooner than this.
    case retryAfter(Duration)
    /// Do not try again: the same call would fail the same way.
    case stop

    /// The decision for an error when no other rule is given.
    ///
    /// An error of this library's protocol is tried again when its category says that another attempt may succeed:
    /// `timeout`, `unavailable` and `rateLimited`; its `retryAfter` is honoured. What an inner retry gave up is not tried
    /// again. Every other error is, because most errors that do not conform are those of a network. `CancellationError` is
    /// one of them: a policy does not ask when the caller was cancelled, so it was something inside the call.
    ///
    /// A rejection by another policy is tried again only if it says when, and only as far as
    /// ``RetryConfiguration/maximumRejectionWait`` allows, whatever a classification says.
    ///
    /// - Parameter error: What the call threw.
    /// - Returns: The decision.
    public static func standard(for error: any Error) -> RetryDecision {
        if error is RetryError { return .stop }
        if let error = error as? HedgeError {
            if standard(for: error.decisiveError) == .stop { return .stop }
            return error.retryAfter.map { .retryAfter($0) } ?? .retry
        }
        guard let error = error as? any ReliabilityError else { return .retry }
        let categories: [ErrorCategory] = [.timeout, .unavailable, .rateLimited]
        guard categories.contains(error.category) else { return .stop }
        if let wait = error.retryAfter { return .retryAfter(wait) }
        return error.isRejection ? .stop : .retry
    }
}

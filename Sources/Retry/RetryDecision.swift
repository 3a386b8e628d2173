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
    /// An error of this library's protocol is tried again when its category says that another attempt may find it
    /// mended: `timeout`, `unavailable` and `rateLimited`; its `retryAfter` is honoured. A refusal by one of our own
    /// policies is tried again only if it says when. What an inner retry gave up is not tried again. Every other error
    /// is, `CancellationError` too: a policy does not ask when the caller was cancelled, so it was something inside the
    /// call. A policy around a call that must not be repeated has to say so.
    ///
    /// - Parameter error: What the call threw.
    /// - Returns: The decision.
    public static func standard(for error: any Error) -> RetryDecision {
        if error is RetryError { return .stop }
        if let error = error as? HedgeError, standard(for: error.decisiveError) == .stop { return .stop }
        guard let error = error as? any ReliabilityError else { return .retry }
        let categories: [ErrorCategory] = [.timeout, .unavailable, .rateLimited]
        guard categories.contains(error.category) else { return .stop }
        if let wait = error.retryAfter { return .retryAfter(wait) }
        return error.isRejection ? .stop : .retry
    }
}

public import ReliabilityCore

/// The behavior of a part while its store is down.
///
/// A store is down if a call to the store fails or takes longer than ``timeout``. After three failures in a row, the
/// store receives only one call in each second. The first success ends this state without any intervention. For a store
/// that cannot stall, no timeout applies and every call reaches the store, see ``StoreCapabilities/canStall``.
public struct StoreFailureMode: Hashable, Sendable {
    /// The decision about a call that the store cannot decide.
    @nonexhaustive
    public enum Action: Hashable, Sendable {
        /// The call proceeds as if the store had allowed the call. The protection is off until the store has recovered.
        case failOpen
        /// The call is rejected as unavailable, and never as a duplicate or as rate limited.
        case failClosed
        /// A rate limiter decides in the memory of the process, with a share of the limit.
        ///
        /// Other parts reject the mode when they are created. A claim in the memory of one process would let another
        /// process run the same operation.
        case localFallback(share: Double)
    }

    /// The decision about a call that the store cannot decide.
    public var action: Action

    /// The longest wait for a call to the store, positive.
    public var timeout: Duration

    /// Lets calls proceed while the store is down.
    ///
    /// - Parameter timeout: The longest wait for a call to the store, positive. Defaults to 3 seconds.
    /// - Returns: The failure mode.
    public static func failOpen(timeout: Duration = .seconds(3)) -> StoreFailureMode {
        StoreFailureMode(action: .failOpen, timeout: timeout)
    }

    /// Rejects calls while the store is down.
    ///
    /// - Parameter timeout: The longest wait for a call to the store, positive. Defaults to 3 seconds.
    /// - Returns: The failure mode.
    public static func failClosed(timeout: Duration = .seconds(3)) -> StoreFailureMode {
        StoreFailureMode(action: .failClosed, timeout: timeout)
    }

    /// Lets a rate limiter decide in the memory of the process while the store is down.
    ///
    /// The store counts the calls that were allowed in this way as soon as the store answers again. The RateLimiter
    /// module documents the bounds. Parts other than a rate limiter reject the mode.
    ///
    /// - Parameters:
    ///   - share: The part of each limit that this process may use alone, above 0 and at most 1. The usual share is 1
    ///     divided by the number of processes.
    ///   - timeout: The longest wait for a call to the store, positive. Defaults to 3 seconds.
    /// - Returns: The failure mode.
    public static func localFallback(share: Double, timeout: Duration = .seconds(3)) -> StoreFailureMode {
        StoreFailureMode(action: .localFallback(share: share), timeout: timeout)
    }

    private init(action: Action, timeout: Duration) {
        self.action = action
        self.timeout = timeout
    }

    /// Checks the timeout and the share.
    ///
    /// - Throws: `ConfigurationError` if the timeout is not positive, or if the share is not above 0 and at most 1.
    public func validate() throws(ConfigurationError) {
        var problems = ConfigurationProblems("store failure mode")
        problems.require(timeout > .zero, "the timeout of a store call must be positive (is \(timeout))")
        if case .localFallback(let share) = action {
            problems.require(
                share > 0 && share <= 1,
                "the share of a local fallback must be above 0 and at most 1 (is \(share))"
            )
        }
        try problems.throwIfAny()
    }
}

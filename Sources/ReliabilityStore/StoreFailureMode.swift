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

    private init(action: Action, timeout: Duration) {
        self.action = action
        self.timeout = timeout
    }

    /// Checks the timeout.
    ///
    /// - Throws: `ConfigurationError` if the timeout is not positive.
    public func validate() throws(ConfigurationError) {
        var problems = ConfigurationProblems("store failure mode")
        problems.require(timeout > .zero, "the timeout of a store call must be positive (is \(timeout))")
        try problems.throwIfAny()
    }
}

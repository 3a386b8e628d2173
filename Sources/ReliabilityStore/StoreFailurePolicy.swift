internal import ReliabilityCore

/// What a part does when its store is down.
public struct StoreFailurePolicy: Hashable, Sendable {
    /// What to do without the store.
    public enum Action: Hashable, Sendable {
        /// Go on as if the store had allowed it; protection is off until the store is back.
        case open
        /// Refuse, with an error that says the service is unavailable: never "duplicate", never "rate limited".
        case closed
    }

    /// What to do without the store.
    public let action: Action

    /// The longest wait for one call to the store.
    public let timeLimit: Duration

    private init(action: Action, timeLimit: Duration) {
        requireValid(timeLimit > .zero, "the time limit of a store call must be positive (is \(timeLimit))")
        self.action = action
        self.timeLimit = timeLimit
    }

    /// Goes on without the store.
    ///
    /// - Precondition: `timeLimit` is positive.
    public static func open(timeLimit: Duration = .seconds(3)) -> StoreFailurePolicy {
        StoreFailurePolicy(action: .open, timeLimit: timeLimit)
    }

    /// Refuses without the store.
    ///
    /// - Precondition: `timeLimit` is positive.
    public static func closed(timeLimit: Duration = .seconds(3)) -> StoreFailurePolicy {
        StoreFailurePolicy(action: .closed, timeLimit: timeLimit)
    }
}

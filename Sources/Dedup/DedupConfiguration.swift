internal import ReliabilityCore
public import ReliabilityStore

/// The answer to a duplicate of a finished call.
public enum DedupMode: Hashable, Sendable {
    /// The first result again, for this long after the first call ended, or forever if `nil`.
    ///
    /// Choose more than the longest time over which a sender tries again: three days and more for webhooks.
    case replay(retention: Duration?)

    /// An error, for this long after the first call ended: against the second click.
    case refuse(window: Duration = .seconds(60))
}

/// The answer to duplicates, the length of a lease, and the policy for a store that is down.
public struct DedupConfiguration: Hashable, Sendable {
    /// The answer to a duplicate of a finished call.
    public let mode: DedupMode

    /// The time after its last renewal at which a claim can be taken over by another process.
    ///
    /// It is renewed while the operation runs, so it need not cover the operation. In a store with one owner it is not
    /// renewed: a claim there ends with its operation, or with its process when the store is opened again.
    public let lease: Duration

    /// The policy for a store that is down: open, and duplicates run; or closed, and nothing runs.
    ///
    /// Its time limit is the longest wait for one call to the store, and for the writing of a result.
    public let storeFailure: StoreFailurePolicy

    /// Creates a configuration.
    ///
    /// - Parameters:
    ///   - mode: The answer to a duplicate of a finished call.
    ///   - lease: The time after its last renewal at which a claim can be taken over by another process. Defaults to 30
    ///     seconds.
    ///   - storeFailure: The policy for a store that is down. Defaults to closed.
    /// - Precondition: The lease and the mode's duration are positive.
    public init(
        _ mode: DedupMode,
        lease: Duration = .seconds(30),
        storeFailure: StoreFailurePolicy = .closed()
    ) {
        requireValid(lease > .zero, "lease must be positive (is \(lease))")
        switch mode {
        case .replay(let retention?): requireValid(retention > .zero, "retention must be positive (is \(retention))")
        case .refuse(let window): requireValid(window > .zero, "window must be positive (is \(window))")
        case .replay(nil): break
        }
        self.mode = mode
        self.lease = lease
        self.storeFailure = storeFailure
    }
}

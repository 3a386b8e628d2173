public import ReliabilityStore

/// What a duplicate of a finished call gets.
public enum DedupMode: Hashable, Sendable {
    /// The first result again, for this long after it; nil for ever.
    ///
    /// Choose more than the longest time over which a sender tries again: three days and more for webhooks.
    case replay(retention: Duration?)

    /// An error, for this long after the first call ended: against the second click.
    case refuse(window: Duration = .seconds(60))
}

/// What a duplicate gets, and how a claim is held.
public struct DedupConfiguration: Hashable, Sendable {
    /// What a duplicate of a finished call gets.
    public let mode: DedupMode

    /// The time after its last renewal at which a claim can be taken over by another process.
    ///
    /// It is renewed while the operation runs, so it need not cover the operation. In a store with one owner it is not
    /// renewed: a claim there ends with its operation, or with its process when the store is opened again.
    public let lease: Duration

    /// What to do when the store is down.
    public let storeFailure: StoreFailurePolicy

    /// Creates a configuration.
    ///
    /// - Parameters:
    ///   - mode: What a duplicate of a finished call gets.
    ///   - lease: The time after its last renewal at which a claim can be taken over by another process.
    ///   - storeFailure: What to do when the store is down. Open means that duplicates run.
    /// - Precondition: The lease and the mode's duration are positive.
    public init(
        _ mode: DedupMode,
        lease: Duration = .seconds(30),
        storeFailure: StoreFailurePolicy = .closed()
    ) {
        precondition(lease > .zero, "lease must be positive (is \(lease))")
        switch mode {
        case .replay(let retention?): precondition(retention > .zero, "retention must be positive (is \(retention))")
        case .refuse(let window): precondition(window > .zero, "window must be positive (is \(window))")
        case .replay(nil): break
        }
        self.mode = mode
        self.lease = lease
        self.storeFailure = storeFailure
    }
}

internal import ReliabilityCore

/// A bounded store in memory for one process.
///
/// The store never evicts an entry. An evicted claim would lead to a second payment. A write that does not fit into a
/// full store throws ``StoreError`` with the reason ``StoreError/Reason/capacityExceeded``. Expired entries make room
/// immediately.
public final class InMemoryStore: RecordStore {
    private let state: Lock<StoreStateMachine>
    private let clock: StoreClock
    /// The capabilities of the store: one owner, no durability and no stalls.
    public let capabilities: StoreCapabilities

    /// Creates an empty store.
    ///
    /// - Parameters:
    ///   - configuration: The limits of the store. Defaults to ``Configuration/standard``.
    ///   - clock: The clock of expiries and leases. Defaults to `ContinuousClock`.
    /// - Precondition: The configuration is valid. See ``Configuration/validate()``.
    public init(_ configuration: Configuration = .standard, clock: some Clock<Duration> = ContinuousClock()) {
        requireValid(configuration.validate)
        capabilities = StoreCapabilities(durability: .none, openedAt: StoreVersion(rawValue: 1), canStall: false)
        self.clock = StoreClock(startingAt: unixNanoseconds(), TimeSource(clock))
        state = Lock(
            StoreStateMachine(
                capabilities: capabilities,
                limits: StoreLimits(maxEntries: configuration.maxEntries, maxBytes: configuration.maxBytes)
            )
        )
    }

    /// The present usage of the store.
    public var usage: StoreUsage {
        let now = clock.now
        return state.withLock { state in
            state.advance(to: now)
            return state.usage
        }
    }

    private func read<Result: Sendable>(
        _ body: @Sendable (inout StoreStateMachine) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        let now = clock.now
        return try state.withLock { state throws(StoreError) in
            state.advance(to: now)
            return try body(&state)
        }
    }

    private func write<Result: Sendable>(
        _ plan: @Sendable (inout StoreStateMachine) throws(StoreError) -> StorePlan<Result>
    ) throws(StoreError) -> Result {
        // A cancelled task writes nothing, as in every store.
        if Task.isCancelled { throw StoreError(.cancelled, "the task was cancelled before the write") }
        let now = clock.now
        return try state.withLock { state throws(StoreError) in
            state.advance(to: now)
            let plan = try plan(&state)
            state.apply(plan.mutations)
            return plan.result
        }
    }

    /// Reads entries at a single point in time.
    public func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        try read { state throws(StoreError) in try state.get(keys) }
    }

    /// Makes all writes in one step or none.
    public func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        try write { state throws(StoreError) in try state.planCommit(writes) }
    }

    /// Makes all writes and adds all records in one step, or does neither.
    public func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult {
        try write { state throws(StoreError) in try state.planCommit(writes, enqueueing: records) }
    }

    /// Makes all updates in one step or none.
    public func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) async throws(StoreError) -> UpdateResult {
        try write { state throws(StoreError) in try state.planUpdate(updates) }
    }

    /// Reads entries in the order of their keys.
    public func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try read { state throws(StoreError) in try state.scan(prefix, after: after, limit: limit) }
    }

    /// Adds records in one step.
    public func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try write { state throws(StoreError) in try state.planEnqueue(records) }
    }

    /// Claims due records under a lease.
    public func claim(
        _ queue: QueueName,
        limit: Int,
        lease: Duration
    ) async throws(StoreError) -> [RecordClaim] {
        try write { state throws(StoreError) in try state.planClaim(queue, limit: limit, lease: lease) }
    }

    /// Settles records in one step.
    public func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        try write { state throws(StoreError) in try state.planSettle(settlements) }
    }

    /// Returns the time until the next record of the queue is due or the next lease ends.
    public func nextDue(_ queue: QueueName) async throws(StoreError) -> Duration? {
        try read { state throws(StoreError) in try state.nextDue(queue) }
    }

    /// Returns the numbers of records in the queue.
    public func counts(_ queue: QueueName) async throws(StoreError) -> RecordCounts {
        try read { state throws(StoreError) in try state.counts(queue) }
    }

    /// Reads records of one state.
    public func page(
        _ queue: QueueName,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage {
        try read { store throws(StoreError) in try store.page(queue, state, after: after, limit: limit) }
    }
}

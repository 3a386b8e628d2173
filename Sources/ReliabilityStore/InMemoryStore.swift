internal import ReliabilityCore

/// A store in memory: bounded, atomic, and gone with the process.
///
/// It never evicts: a claim that vanished would be a payment made twice. When it is full of live entries, a write that
/// adds to it throws `StoreError` with the reason `capacityExceeded`; expired entries make room at once.
public final class InMemoryStore: RecordStore {
    private let state: Lock<StoreState>
    private let clock: StoreClock
    /// What the store can do: it has one owner and cannot stall.
    public let capabilities: StoreCapabilities

    /// Creates an empty store.
    ///
    /// - Parameters:
    ///   - maximumEntries: The most entries and records.
    ///   - maximumBytes: The most bytes in keys, values and payloads, with 64 counted for each entry.
    ///   - clock: Measures expiry and leases.
    /// - Precondition: Both limits are at least 1.
    public init(
        maximumEntries: Int = 1_000_000,
        maximumBytes: Int = 256 << 20,
        clock: some Clock<Duration> = ContinuousClock()
    ) {
        requireValid(maximumEntries >= 1, "maximumEntries must be at least 1 (is \(maximumEntries))")
        requireValid(maximumBytes >= 1, "maximumBytes must be at least 1 (is \(maximumBytes))")
        capabilities = StoreCapabilities(durability: .none, openedAt: StoreVersion(rawValue: 1), canStall: false)
        self.clock = StoreClock(startingAt: unixNanoseconds(), TimeSource(clock))
        state = Lock(
            StoreState(
                capabilities: capabilities,
                limits: StoreLimits(maximumEntries: maximumEntries, maximumBytes: maximumBytes)
            )
        )
    }

    /// The figures of the store's content now, beside its limits.
    public var usage: StoreUsage {
        let now = clock.now
        return state.withLock { state in
            state.advance(to: now)
            return state.usage
        }
    }

    private func read<Result: Sendable>(
        _ body: @Sendable (inout StoreState) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        let now = clock.now
        return try state.withLock { state throws(StoreError) in
            state.advance(to: now)
            return try body(&state)
        }
    }

    private func write<Result: Sendable>(
        _ plan: @Sendable (inout StoreState) throws(StoreError) -> StorePlan<Result>
    ) throws(StoreError) -> Result {
        // A task that is cancelled writes nothing, as in a store that has to wait for its disk.
        if Task.isCancelled { throw StoreError(.cancelled, "the task was cancelled before the write") }
        let now = clock.now
        return try state.withLock { state throws(StoreError) in
            state.advance(to: now)
            let plan = try plan(&state)
            state.apply(plan.mutations)
            return plan.result
        }
    }

    /// Reads entries, all at one moment.
    public func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        try read { state throws(StoreError) in try state.get(keys) }
    }

    /// Makes all writes in one step, or none.
    public func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        try write { state throws(StoreError) in try state.planCommit(writes) }
    }

    /// Makes all writes and adds all records in one step, or none.
    public func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult {
        try write { state throws(StoreError) in try state.planCommit(writes, enqueueing: records) }
    }

    /// Makes all updates in one step, or none.
    public func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) async throws(StoreError) -> UpdateResult {
        try write { state throws(StoreError) in try state.planUpdate(updates) }
    }

    /// Reads entries in the order of their keys.
    public func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try read { state throws(StoreError) in try state.scan(prefix, after: after, limit: limit) }
    }

    /// Adds records, all in one step.
    public func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try write { state throws(StoreError) in try state.planEnqueue(records) }
    }

    /// Hands out due records under a lease.
    public func claim(
        _ queue: RecordQueue,
        limit: Int,
        lease: Duration
    ) async throws(StoreError) -> [RecordClaim] {
        try write { state throws(StoreError) in try state.planClaim(queue, limit: limit, lease: lease) }
    }

    /// Settles records, all in one step.
    public func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        try write { state throws(StoreError) in try state.planSettle(settlements) }
    }

    /// How long until a record of the queue is due.
    public func nextDue(_ queue: RecordQueue) async throws(StoreError) -> Duration? {
        try read { state throws(StoreError) in try state.nextDue(queue) }
    }

    /// How many records the queue has.
    public func counts(_ queue: RecordQueue) async throws(StoreError) -> RecordCounts {
        try read { state throws(StoreError) in try state.counts(queue) }
    }

    /// Reads records of one state.
    public func page(
        _ queue: RecordQueue,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage {
        try read { store throws(StoreError) in try store.page(queue, state, after: after, limit: limit) }
    }
}

internal import ReliabilityCore
public import ReliabilityStore

/// A store that fails as a test tells it to, around one that works.
///
/// ```swift
/// let store = FaultInjectingStore(InMemoryStore())
/// store.failNext(.commit, with: .unknownOutcomeAfterApply)
/// …
/// store.outage = .hang        // a dead server
/// store.outage = nil          // and it is back
/// ```
///
/// A call meets the outage if there is one, else the first fault that waits for its operation, else what the `faults`
/// function says. Around a store that keeps no records, the record operations throw `invalid`.
public final class FaultInjectingStore: RecordStore {
    private struct State {
        var outage: StoreFault?
        var next: [StoreOperation: [StoreFault]] = [:]
        var ordinals: [StoreOperation: Int] = [:]
        var count = 0
    }

    private let store: any KeyValueStore
    private let timeSource: TimeSource
    private let faults: @Sendable (StoreCall) -> StoreFault?
    private let state = Lock(State())

    /// Every call, as it began; a test can wait for calls here.
    public let calls = EventRecorder<StoreCall>()

    /// Creates a store without an outage.
    ///
    /// - Parameters:
    ///   - store: The store that works.
    ///   - clock: Measures how long a slow call waits.
    ///   - faults: Says what goes wrong with a call; nil for nothing.
    public init(
        _ store: any KeyValueStore,
        clock: some Clock<Duration> = ContinuousClock(),
        faults: @escaping @Sendable (StoreCall) -> StoreFault? = { _ in nil }
    ) {
        self.store = store
        self.faults = faults
        timeSource = TimeSource(clock)
    }

    /// What goes wrong with every call from now on; nil for nothing.
    public var outage: StoreFault? {
        get { state.withLock { $0.outage } }
        set { state.withLock { $0.outage = newValue } }
    }

    /// Makes the next calls of an operation fail, after those that were told to before.
    ///
    /// - Parameters:
    ///   - operation: Which calls.
    ///   - fault: What goes wrong.
    ///   - times: How many calls.
    public func failNext(_ operation: StoreOperation, with fault: StoreFault, times: Int = 1) {
        state.withLock { $0.next[operation, default: []] += Array(repeating: fault, count: max(0, times)) }
    }

    /// How many calls of an operation there were.
    ///
    /// - Parameter operation: The operation.
    /// - Returns: The number of calls, the failed ones included.
    public func count(of operation: StoreOperation) -> Int {
        state.withLock { $0.ordinals[operation] ?? 0 }
    }

    /// What the store around which this one fails can do, and that it can stall.
    public var capabilities: StoreCapabilities {
        var capabilities = store.capabilities
        capabilities.canStall = true
        return capabilities
    }

    // MARK: Operations

    /// Reads entries, unless a fault says otherwise.
    public func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        try await call(.get) { () throws(StoreError) in try await store.get(keys) }
    }

    /// Makes all writes, unless a fault says otherwise.
    public func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        try await call(.commit) { () throws(StoreError) in try await store.commit(writes) }
    }

    /// Makes all updates, unless a fault says otherwise.
    public func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) async throws(StoreError) -> UpdateResult {
        try await call(.update) { () throws(StoreError) in try await store.update(updates) }
    }

    /// Reads a page of entries, unless a fault says otherwise.
    public func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try await call(.scan) { () throws(StoreError) in try await store.scan(prefix, after: after, limit: limit) }
    }

    /// Makes all writes and adds all records, unless a fault says otherwise.
    public func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult {
        try await call(.commit) { () throws(StoreError) in
            try await recordStore().commit(writes, enqueueing: records)
        }
    }

    /// Adds records, unless a fault says otherwise.
    public func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try await call(.enqueue) { () throws(StoreError) in try await recordStore().enqueue(records) }
    }

    /// Hands out due records, unless a fault says otherwise.
    public func claim(_ queue: RecordQueue, limit: Int, lease: Duration) async throws(StoreError) -> [RecordClaim] {
        try await call(.claim) { () throws(StoreError) in
            try await recordStore().claim(queue, limit: limit, lease: lease)
        }
    }

    /// Settles records, unless a fault says otherwise.
    public func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        try await call(.settle) { () throws(StoreError) in try await recordStore().settle(settlements) }
    }

    /// Asks when a record is due, unless a fault says otherwise.
    public func nextDue(_ queue: RecordQueue) async throws(StoreError) -> Duration? {
        try await call(.nextDue) { () throws(StoreError) in try await recordStore().nextDue(queue) }
    }

    /// Counts records, unless a fault says otherwise.
    public func counts(_ queue: RecordQueue) async throws(StoreError) -> RecordCounts {
        try await call(.counts) { () throws(StoreError) in try await recordStore().counts(queue) }
    }

    /// Reads a page of records, unless a fault says otherwise.
    public func page(
        _ queue: RecordQueue,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage {
        try await call(.page) { () throws(StoreError) in
            try await recordStore().page(queue, state, after: after, limit: limit)
        }
    }

    // MARK: Faults

    private func recordStore() throws(StoreError) -> any RecordStore {
        guard let records = store as? any RecordStore else {
            throw StoreError(.invalid, "the store inside keeps no records")
        }
        return records
    }

    private func call<Success: Sendable>(
        _ operation: StoreOperation,
        _ body: () async throws(StoreError) -> Success
    ) async throws(StoreError) -> Success {
        switch begin(operation) {
        case nil:
            return try await body()
        case .refuse(let reason):
            throw StoreError(reason, "a fault was injected before the call")
        case .unknownOutcomeBeforeApply:
            throw unknownOutcome(of: operation)
        case .unknownOutcomeAfterApply:
            _ = try await body()
            throw unknownOutcome(of: operation)
        case .slow(let delay):
            do { try await timeSource.sleep(for: delay) } catch {
                throw StoreError(.cancelled, "the task was cancelled while a slow call had not begun")
            }
            return try await body()
        case .hang:
            await untilCancelled()
            throw StoreError(.cancelled, "the task was cancelled while a call hung that had done nothing")
        case .hangAfterApply:
            _ = try await body()
            await untilCancelled()
            throw unknownOutcome(of: operation)
        }
    }

    private func begin(_ operation: StoreOperation) -> StoreFault? {
        let (call, scripted) = state.withLock { state in
            state.count += 1
            state.ordinals[operation, default: 0] += 1
            let call = StoreCall(
                operation: operation,
                ordinal: state.ordinals[operation] ?? 0,
                index: state.count
            )
            if let outage = state.outage { return (call, StoreFault?.some(outage)) }
            guard let fault = state.next[operation]?.first else { return (call, nil) }
            state.next[operation]?.removeFirst()
            return (call, fault)
        }
        calls.record(call)
        return scripted ?? faults(call)
    }

    private func unknownOutcome(of operation: StoreOperation) -> StoreError {
        StoreError(operation.isWrite ? .unknownOutcome : .unavailable, "a fault was injected into the call")
    }
}

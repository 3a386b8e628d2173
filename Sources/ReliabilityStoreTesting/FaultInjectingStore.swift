internal import ReliabilityCore
public import ReliabilityStore
public import ReliabilityTesting

/// A store that injects faults into the calls to another store.
///
/// ```swift
/// let store = FaultInjectingStore(InMemoryStore())
/// store.failNext(.commit, with: .unknownOutcomeAfterApply)    // the next commit is made, and its answer is lost
/// store.outage = .hang                                        // the server stops responding
/// store.outage = nil                                          // the server responds again
/// ```
///
/// The first of these sources with a fault determines the fault of a call:
///
/// 1. ``outage``
/// 2. the faults queued with ``failNext(_:with:times:)``
/// 3. the `faults` function
///
/// A call without a fault goes to the wrapped store. Record operations throw `invalid` if the wrapped store is not a
/// `RecordStore`.
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

    /// Records every call at its beginning.
    ///
    /// A test can wait for calls here.
    public let calls = EventRecorder<StoreCall>()

    /// Creates a store without an outage.
    ///
    /// - Parameters:
    ///   - store: The wrapped store.
    ///   - clock: The clock for slow calls. Defaults to `ContinuousClock`.
    ///   - faults: Returns the fault of a call, or `nil` for no fault. Defaults to no faults.
    public init(
        _ store: any KeyValueStore,
        clock: some Clock<Duration> = ContinuousClock(),
        faults: @escaping @Sendable (StoreCall) -> StoreFault? = { _ in nil }
    ) {
        self.store = store
        self.faults = faults
        timeSource = TimeSource(clock)
    }

    /// The fault of every call from now on, or `nil` for no outage.
    public var outage: StoreFault? {
        get { state.withLock { $0.outage } }
        set { state.withLock { $0.outage = newValue } }
    }

    /// Queues a fault for the next calls of an operation behind the faults queued earlier.
    ///
    /// - Parameters:
    ///   - operation: The operation.
    ///   - fault: The fault.
    ///   - times: The number of calls with this fault. Defaults to 1.
    public func failNext(_ operation: StoreOperation, with fault: StoreFault, times: Int = 1) {
        state.withLock { $0.next[operation, default: []] += Array(repeating: fault, count: max(0, times)) }
    }

    /// Returns the number of calls of an operation, including failed calls.
    ///
    /// - Parameter operation: The operation.
    /// - Returns: The number of calls so far.
    public func count(of operation: StoreOperation) -> Int {
        state.withLock { $0.ordinals[operation] ?? 0 }
    }

    /// The capabilities of the wrapped store with `canStall` set to `true`.
    public var capabilities: StoreCapabilities {
        var capabilities = store.capabilities
        capabilities.canStall = true
        return capabilities
    }

    // MARK: Operations

    /// Reads entries from the wrapped store unless a fault applies.
    public func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        try await call(.get) { () throws(StoreError) in try await store.get(keys) }
    }

    /// Commits writes to the wrapped store unless a fault applies.
    public func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        try await call(.commit) { () throws(StoreError) in try await store.commit(writes) }
    }

    /// Applies atomic updates in the wrapped store unless a fault applies.
    public func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) async throws(StoreError) -> UpdateResult {
        try await call(.update) { () throws(StoreError) in try await store.update(updates) }
    }

    /// Reads a page of entries from the wrapped store unless a fault applies.
    public func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try await call(.scan) { () throws(StoreError) in try await store.scan(prefix, after: after, limit: limit) }
    }

    /// Commits writes and new records to the wrapped store unless a fault applies.
    public func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult {
        try await call(.commit) { () throws(StoreError) in
            try await recordStore().commit(writes, enqueueing: records)
        }
    }

    /// Enqueues records in the wrapped store unless a fault applies.
    public func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try await call(.enqueue) { () throws(StoreError) in try await recordStore().enqueue(records) }
    }

    /// Claims due records in the wrapped store unless a fault applies.
    public func claim(_ queue: QueueName, limit: Int, lease: Duration) async throws(StoreError) -> [RecordClaim] {
        try await call(.claim) { () throws(StoreError) in
            try await recordStore().claim(queue, limit: limit, lease: lease)
        }
    }

    /// Settles records in the wrapped store unless a fault applies.
    public func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        try await call(.settle) { () throws(StoreError) in try await recordStore().settle(settlements) }
    }

    /// Returns the time until the next record is due in the wrapped store unless a fault applies.
    public func nextDue(_ queue: QueueName) async throws(StoreError) -> Duration? {
        try await call(.nextDue) { () throws(StoreError) in try await recordStore().nextDue(queue) }
    }

    /// Counts the records of a queue in the wrapped store unless a fault applies.
    public func counts(_ queue: QueueName) async throws(StoreError) -> RecordCounts {
        try await call(.counts) { () throws(StoreError) in try await recordStore().counts(queue) }
    }

    /// Reads a page of records from the wrapped store unless a fault applies.
    public func page(
        _ queue: QueueName,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage {
        try await call(.page) { () throws(StoreError) in
            try await recordStore().page(queue, state, after: after, limit: limit)
        }
    }

    /// Registers the action with the wrapped store.
    public func onEnqueue(_ queue: QueueName, _ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
        guard let records = store as? any RecordStore else { return {} }
        return records.onEnqueue(queue, action)
    }

    // MARK: Faults

    private func recordStore() throws(StoreError) -> any RecordStore {
        guard let records = store as? any RecordStore else {
            throw StoreError(.invalid, "the wrapped store is not a RecordStore")
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
        case .reject(let reason):
            throw StoreError(reason, "a fault was injected before the call")
        case .unknownOutcomeBeforeApply:
            throw unknownOutcome(of: operation)
        case .unknownOutcomeAfterApply:
            _ = try await body()
            throw unknownOutcome(of: operation)
        case .slow(let delay):
            do { try await timeSource.sleep(for: delay) } catch {
                throw StoreError(.cancelled, "the task was cancelled before a slow call began")
            }
            return try await body()
        case .hang:
            await suspendUntilCancelled()
            throw StoreError(.cancelled, "the task was cancelled during a hanging call, which had no effect")
        case .hangAfterApply:
            _ = try await body()
            await suspendUntilCancelled()
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

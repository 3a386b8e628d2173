internal import ReliabilityCore
package import ReliabilityStore
internal import ReliabilityTesting

/// A store in memory with scripted faults and changed capabilities.
///
/// A `FaultInjectingStore` can always stall, so every call to it has a timeout on the clock. This store has no timeouts
/// unless a test asks for them. Its faults can also cancel the calling task.
package final class StoreDouble: RecordStore {
    /// A kind of call that can have a fault.
    package enum Operation: Hashable, Sendable {
        case get
        case commit
        case claim
        case nextDue
        /// A settlement other than an extension of a lease.
        case settle
        /// An extension of a lease.
        case extend
    }

    /// A fault of a call.
    package enum Fault: Sendable {
        /// The call has no effect and throws a `StoreError` with this reason.
        case reject(StoreError.Reason)
        /// The call takes effect and throws `unknownOutcome`.
        case unknownOutcomeAfterApply
        /// The calling task is cancelled before the call.
        case cancelBefore
        /// The calling task is cancelled after the call.
        case cancelAfter
        /// The call has no effect and hangs until its task is cancelled.
        case hang
    }

    private struct State {
        var outage: Fault?
        var unavailable: Set<Operation> = []
        var next: [Operation: [Fault?]] = [:]
    }

    /// The store behind the double.
    package let memory: InMemoryStore
    /// The capabilities of the double.
    package let capabilities: StoreCapabilities
    private let faults: @Sendable () -> Fault?
    private let state = Lock(State())

    /// Creates a store without an outage.
    ///
    /// - Parameters:
    ///   - memory: The store behind the double.
    ///   - openedAt: The version of the opening. Defaults to the version of `memory`.
    ///   - isShared: `true` if the store has several owners and therefore no version of its opening.
    ///   - canStall: `true` if calls get a timeout.
    ///   - maxValueBytes: The longest value. Defaults to the limit of `memory`.
    ///   - losesWritesOnFailover: `true` if acknowledged writes can be lost. Defaults to `false`.
    ///   - faults: Returns the fault of a call, or `nil` for no fault.
    package init(
        _ memory: InMemoryStore,
        openedAt: StoreVersion? = nil,
        isShared: Bool = false,
        canStall: Bool = false,
        maxValueBytes: Int? = nil,
        losesWritesOnFailover: Bool = false,
        faults: @escaping @Sendable () -> Fault? = { nil }
    ) {
        self.memory = memory
        self.faults = faults
        var capabilities = memory.capabilities
        if let openedAt { capabilities.openedAt = openedAt }
        if isShared { capabilities.openedAt = nil }
        if let maxValueBytes { capabilities.maxValueBytes = maxValueBytes }
        capabilities.canStall = canStall
        capabilities.losesWritesOnFailover = losesWritesOnFailover
        self.capabilities = capabilities
    }

    /// The fault of every call from now on, or `nil` for no outage.
    package var outage: Fault? {
        get { state.withLock { $0.outage } }
        set { state.withLock { $0.outage = newValue } }
    }

    /// The operations that throw `unavailable` from now on.
    package var unavailable: Set<Operation> {
        get { state.withLock { $0.unavailable } }
        set { state.withLock { $0.unavailable = newValue } }
    }

    /// Queues the faults of the next calls of an operation.
    ///
    /// - Parameters:
    ///   - operation: The operation.
    ///   - faults: The fault of each call, or `nil` for a call without a fault.
    package func failNext(_ operation: Operation, with faults: Fault?...) {
        state.withLock { $0.next[operation, default: []] += faults }
    }

    private func call<Success: Sendable>(
        _ operation: Operation,
        _ body: () async throws(StoreError) -> Success
    ) async throws(StoreError) -> Success {
        let scripted = state.withLock { state -> Fault? in
            if let outage = state.outage { return outage }
            if state.unavailable.contains(operation) { return .reject(.unavailable) }
            guard state.next[operation]?.isEmpty == false else { return nil }
            return state.next[operation]?.removeFirst()
        }
        switch scripted ?? faults() {
        case nil: return try await body()
        case .reject(let reason): throw StoreError(reason, "a fault was injected before the call")
        case .unknownOutcomeAfterApply:
            _ = try await body()
            throw StoreError(.unknownOutcome, "a fault was injected after the call")
        case .cancelBefore:
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return try await body()
        case .cancelAfter:
            let success = try await body()
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return success
        case .hang:
            await suspendUntilCancelled()
            throw StoreError(.cancelled, "the task was cancelled during a hanging call")
        }
    }

    // MARK: Operations with faults

    package func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        try await call(.get) { () throws(StoreError) in try await memory.get(keys) }
    }

    package func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        try await call(.commit) { () throws(StoreError) in try await memory.commit(writes) }
    }

    package func claim(
        _ queue: QueueName,
        limit: Int,
        lease: Duration
    ) async throws(StoreError) -> [RecordClaim] {
        try await call(.claim) { () throws(StoreError) in
            try await memory.claim(queue, limit: limit, lease: lease)
        }
    }

    package func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        var operation = Operation.settle
        if case .extend? = settlements.first?.action { operation = .extend }
        return try await call(operation) { () throws(StoreError) in try await memory.settle(settlements) }
    }

    package func nextDue(_ queue: QueueName) async throws(StoreError) -> Duration? {
        try await call(.nextDue) { () throws(StoreError) in try await memory.nextDue(queue) }
    }

    // MARK: Operations without faults

    package func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) async throws(StoreError) -> UpdateResult {
        try await memory.update(updates)
    }

    package func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try await memory.scan(prefix, after: after, limit: limit)
    }

    package func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult {
        try await call(.commit) { () throws(StoreError) in try await memory.commit(writes, enqueueing: records) }
    }

    package func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try await memory.enqueue(records)
    }

    package func counts(_ queue: QueueName) async throws(StoreError) -> RecordCounts {
        try await memory.counts(queue)
    }

    package func page(
        _ queue: QueueName,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage {
        try await memory.page(queue, state, after: after, limit: limit)
    }
}

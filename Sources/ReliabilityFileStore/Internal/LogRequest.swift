package import ReliabilityStore

/// The part of the store's content that an answer depends on.
enum ReadSet: Sendable {
    case entry(StoreKey)
    case entries([StoreKey])
    case queues([QueueName])
    case commit([StoreWrite], [NewRecord])
    case everything
}

/// A call to the store: the plan of its changes and the read set of its answer.
package struct LogRequest<Result: Sendable>: Sendable {
    enum Body: Sendable {
        case read(ReadSet, @Sendable (inout StoreStateMachine) throws(StoreError) -> Result)
        case write(ReadSet, @Sendable (inout StoreStateMachine) throws(StoreError) -> StorePlan<Result>)
        /// A write or an update of one entry.
        case writeEntry(StoreKey, @Sendable (inout StoreStateMachine) throws(StoreError) -> EntryPlan<Result>)
    }

    let body: Body

    private init(
        reading readSet: ReadSet,
        _ answer: @escaping @Sendable (inout StoreStateMachine) throws(StoreError) -> Result
    ) {
        body = .read(readSet, answer)
    }

    private init(
        writing readSet: ReadSet,
        _ plan: @escaping @Sendable (inout StoreStateMachine) throws(StoreError) -> StorePlan<Result>
    ) {
        body = .write(readSet, plan)
    }

    private init(
        writing key: StoreKey,
        _ plan: @escaping @Sendable (inout StoreStateMachine) throws(StoreError) -> EntryPlan<Result>
    ) {
        body = .writeEntry(key, plan)
    }

    var isRead: Bool { if case .read = body { true } else { false } }
}

extension LogRequest where Result == [StoreEntry?] {
    package static func get(_ keys: [StoreKey]) -> Self {
        Self(reading: .entries(keys)) { state throws(StoreError) in try state.get(keys) }
    }
}

extension LogRequest where Result == StorePage {
    package static func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) -> Self {
        Self(reading: .everything) { state throws(StoreError) in try state.scan(prefix, after: after, limit: limit) }
    }
}

extension LogRequest where Result == CommitResult {
    package static func commit(_ writes: [StoreWrite]) -> Self {
        Self(writing: .commit(writes, [])) { state throws(StoreError) in try state.planCommit(writes) }
    }
}

extension LogRequest where Result == WriteResult {
    package static func commit(_ write: StoreWrite) -> Self {
        Self(writing: write.key) { state throws(StoreError) in try state.plan(write) }
    }
}

extension LogRequest where Result == RecordCommitResult {
    package static func commit(_ writes: [StoreWrite], _ records: [NewRecord]) -> Self {
        Self(writing: .commit(writes, records)) { state throws(StoreError) in
            try state.planCommit(writes, enqueueing: records)
        }
    }
}

extension LogRequest where Result == UpdateResult {
    package static func update(_ updates: [(key: StoreKey, update: AtomicUpdate)]) -> Self {
        Self(writing: .entries(updates.map(\.key))) { state throws(StoreError) in try state.planUpdate(updates) }
    }
}

extension LogRequest where Result == AtomicUpdate.Decision {
    package static func update(_ key: StoreKey, _ update: AtomicUpdate) -> Self {
        Self(writing: key) { state throws(StoreError) in try state.plan(key, update) }
    }
}

extension LogRequest where Result == [EnqueueResult] {
    package static func enqueue(_ records: [NewRecord]) -> Self {
        Self(writing: .queues(records.map(\.queue))) { state throws(StoreError) in try state.planEnqueue(records) }
    }
}

extension LogRequest where Result == [RecordClaim] {
    package static func claim(_ queue: QueueName, limit: Int, lease: Duration) -> Self {
        Self(writing: .queues([queue])) { state throws(StoreError) in
            try state.planClaim(queue, limit: limit, lease: lease)
        }
    }
}

extension LogRequest where Result == [SettleResult] {
    package static func settle(_ settlements: [Settlement]) -> Self {
        Self(writing: .queues(settlements.map(\.queue))) { state throws(StoreError) in
            try state.planSettle(settlements)
        }
    }
}

extension LogRequest where Result == Duration? {
    package static func nextDue(_ queue: QueueName) -> Self {
        Self(reading: .queues([queue])) { state throws(StoreError) in try state.nextDue(queue) }
    }
}

extension LogRequest where Result == RecordCounts {
    package static func counts(_ queue: QueueName) -> Self {
        Self(reading: .queues([queue])) { state throws(StoreError) in try state.counts(queue) }
    }
}

extension LogRequest where Result == RecordPage {
    package static func page(_ queue: QueueName, _ state: RecordState, after: String?, limit: Int) -> Self {
        Self(reading: .queues([queue])) { store throws(StoreError) in
            try store.page(queue, state, after: after, limit: limit)
        }
    }
}

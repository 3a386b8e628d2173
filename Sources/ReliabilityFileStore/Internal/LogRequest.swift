internal import ReliabilityCore
package import ReliabilityStore

/// What an answer reveals of the store's content.
enum Revealed: Sendable {
    case entries([StoreKey])
    case queues([RecordQueue])
    case commit([StoreWrite], [NewRecord])
    case everything
}

/// A call to the store: what it plans, and what its answer reveals.
package struct LogRequest<Result: Sendable>: Sendable {
    let isRead: Bool
    let revealed: Revealed
    let plan: @Sendable (inout StoreState) throws(StoreError) -> StorePlan<Result>

    private init(
        reading revealed: Revealed,
        _ body: @escaping @Sendable (inout StoreState) throws(StoreError) -> Result
    ) {
        isRead = true
        self.revealed = revealed
        plan = { state throws(StoreError) in StorePlan(result: try body(&state), mutations: []) }
    }

    private init(
        writing revealed: Revealed,
        _ plan: @escaping @Sendable (inout StoreState) throws(StoreError) -> StorePlan<Result>
    ) {
        isRead = false
        self.revealed = revealed
        self.plan = plan
    }
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

extension LogRequest where Result == [EnqueueResult] {
    package static func enqueue(_ records: [NewRecord]) -> Self {
        Self(writing: .queues(records.map(\.queue))) { state throws(StoreError) in try state.planEnqueue(records) }
    }
}

extension LogRequest where Result == [RecordClaim] {
    package static func claim(_ queue: RecordQueue, limit: Int, lease: Duration) -> Self {
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
    package static func nextDue(_ queue: RecordQueue) -> Self {
        Self(reading: .queues([queue])) { state throws(StoreError) in try state.nextDue(queue) }
    }
}

extension LogRequest where Result == RecordCounts {
    package static func counts(_ queue: RecordQueue) -> Self {
        Self(reading: .queues([queue])) { state throws(StoreError) in try state.counts(queue) }
    }
}

extension LogRequest where Result == RecordPage {
    package static func page(_ queue: RecordQueue, _ state: RecordState, after: String?, limit: Int) -> Self {
        Self(reading: .queues([queue])) { store throws(StoreError) in
            try store.page(queue, state, after: after, limit: limit)
        }
    }
}

import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Retry

struct Flaky: Error {}

struct Busy: ReliabilityError {
    var code: ErrorCode { "test.busy" }
    var category: ErrorCategory { .unavailable }
    var message: String { "Busy." }
    var retryAfter: Duration?
}

/// A record store over one in memory whose calls fail as a test tells them to.
final class RecordStoreDouble: RecordStore {
    enum Call: Hashable { case claim, nextDue, settle, extend }
    enum Fault { case before(StoreError.Reason), after(StoreError.Reason), cancelAfter }

    let memory: InMemoryStore
    private let faults = Lock<[Call: [Fault]]>([:])
    private let outage = Lock<Set<Call>>([])

    init(_ memory: InMemoryStore) { self.memory = memory }

    var capabilities: StoreCapabilities { memory.capabilities }

    /// The faults of the next calls of a kind.
    func fail(_ call: Call, _ list: Fault...) { faults.withLock { $0[call, default: []] += list } }

    /// Makes all calls of some kinds fail, from now on.
    func breakDown(_ calls: Set<Call>) { outage.withLock { $0 = calls } }

    private func faulty<Success: Sendable>(
        _ call: Call,
        _ operation: () async throws(StoreError) -> Success
    ) async throws(StoreError) -> Success {
        if outage.withLock({ $0.contains(call) }) { throw StoreError(.unavailable, "told to be down") }
        let fault = faults.withLock { faults -> Fault? in
            guard let list = faults[call], !list.isEmpty else { return nil }
            return faults[call]?.removeFirst()
        }
        switch fault {
        case nil: return try await operation()
        case .before(let reason): throw StoreError(reason, "told to fail before")
        case .after(let reason):
            _ = try await operation()
            throw StoreError(reason, "told to fail after")
        case .cancelAfter:
            let success = try await operation()
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return success
        }
    }

    func claim(_ queue: RecordQueue, limit: Int, lease: Duration) async throws(StoreError) -> [RecordClaim] {
        try await faulty(.claim) { () async throws(StoreError) in
            try await memory.claim(queue, limit: limit, lease: lease)
        }
    }

    func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        var call = Call.settle
        if case .extend? = settlements.first?.action { call = .extend }
        return try await faulty(call) { () async throws(StoreError) in try await memory.settle(settlements) }
    }

    func nextDue(_ queue: RecordQueue) async throws(StoreError) -> Duration? {
        try await faulty(.nextDue) { () async throws(StoreError) in try await memory.nextDue(queue) }
    }

    func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] { try await memory.get(keys) }
    func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult { try await memory.commit(writes) }
    func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult {
        try await memory.commit(writes, enqueueing: records)
    }
    func update(_ updates: [(key: StoreKey, update: AtomicUpdate)]) async throws(StoreError) -> UpdateResult {
        try await memory.update(updates)
    }
    func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try await memory.scan(prefix, after: after, limit: limit)
    }
    func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try await memory.enqueue(records)
    }
    func counts(_ queue: RecordQueue) async throws(StoreError) -> RecordCounts { try await memory.counts(queue) }
    func page(
        _ queue: RecordQueue,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage {
        try await memory.page(queue, state, after: after, limit: limit)
    }
}

/// What the tests share: a clock, a store and a queue on it, and the events.
struct Bench {
    let clock = ManualClock()
    let memory: InMemoryStore
    let store: RecordStoreDouble
    let queue: OutboxQueue
    let events = EventRecorder<OutboxEvent>()
    let deliveries = EventRecorder<OutboxDelivery>()

    init() {
        memory = InMemoryStore(clock: clock)
        store = RecordStoreDouble(memory)
        queue = OutboxQueue("test", store: store)
    }

    func send(_ ids: String..., delay: Duration = .zero) async throws {
        try await send(ids, delay: delay)
    }

    func send(_ ids: [String], delay: Duration = .zero) async throws {
        let records = ids.map { queue.record(for: OutboxMessage(id: $0, topic: "t", payload: []), delay: delay) }
        for start in stride(from: 0, to: records.count, by: 100) {
            _ = try await memory.enqueue(Array(records[start..<min(start + 100, records.count)]))
        }
    }

    func relay(
        maxAttempts: Int = 5,
        backoff: Backoff = .constant(.seconds(1), jitter: .none),
        concurrency: Int = 8,
        timeLimit: Duration = .seconds(1000),
        lease: Duration = .seconds(60),
        pollInterval: Duration = .seconds(5),
        deadRetention: Duration? = nil,
        queue: OutboxQueue? = nil,
        classify: @escaping @Sendable (any Error) -> RetryDecision = OutboxRelay.standardDecision(for:),
        handler: @escaping @Sendable (OutboxDelivery) async throws -> Void
    ) -> OutboxRelay {
        OutboxRelay(
            queue ?? self.queue,
            OutboxRelayConfiguration(
                maxAttempts: maxAttempts,
                backoff: backoff,
                maximumRetryAfter: .seconds(100),
                concurrency: concurrency,
                timeLimit: timeLimit,
                lease: lease,
                pollInterval: pollInterval,
                deadRetention: deadRetention
            ),
            classify: classify,
            clock: clock,
            randomness: SeededGenerator(seed: 1),
            observer: events.record,
            handler: { delivery in
                deliveries.record(delivery)
                try await handler(delivery)
            }
        )
    }

    /// Texts of at least `count` events.
    func names(_ count: Int) async -> [String] {
        await events.wait(for: count).map { event in
            switch event {
            case .delivered(let id, let attempt): "delivered \(id) \(attempt)"
            case .retrying(let id, let attempt, let after, _): "retrying \(id) \(attempt) after \(after)"
            case .dead(let id, let attempt, _): "dead \(id) \(attempt)"
            case .released(let id): "released \(id)"
            case .isolated(let id, let attempts, let after): "isolated \(id) \(attempts) after \(after)"
            case .overrun(let id, let attempt): "overrun \(id) \(attempt)"
            case .abandoned(let id, let attempt): "abandoned \(id) \(attempt)"
            case .removed(let id, let reason): "removed \(id) \(reason)"
            case .stopped(let error): "stopped \(error.code)"
            case .leaseLost(let id): "leaseLost \(id)"
            case .notSettled(let id, _): "notSettled \(id)"
            case .storeUnavailable: "storeUnavailable"
            case .missed(let count): "missed \(count)"
            }
        }
    }
}

/// A door that tasks wait at until it is opened.
final class Gate: Sendable {
    private let state = Lock((isOpen: false, waiting: [CheckedContinuation<Void, Never>]()))

    /// Waits, whether cancelled or not, until the gate is open.
    func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}

/// Waits until the task is cancelled.
func untilCancelled() async throws {
    let never = AsyncStream<Never> { _ in }
    for await _ in never {}
    try Task.checkCancellation()
}

import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting

/// A simple second implementation of a store, optionally with a mistake that the conformance checks must find.
///
/// Without a mistake it passes every check. It is a client of a ``ReferenceServer``.
struct NaiveStore: RecordStore {
    /// The identity of a client.
    ///
    /// Only a server with a mistake uses it.
    struct Client: Sendable {
        let id: Int
        let clock: ManualClock
    }

    let server: ReferenceServer
    let client: Client

    init(_ mutant: Mutant? = nil, isOwned: Bool = false, clock: ManualClock) {
        let isOwned = isOwned || mutant?.needsOwner == true
        server = ReferenceServer(ReferenceServer.State(), mutant, isOwned: isOwned, clock: clock)
        client = Client(id: 1, clock: clock)
    }

    /// A second client of the same server.
    init(beside first: NaiveStore, clock: ManualClock) {
        server = first.server
        client = Client(id: first.client.id + 1, clock: clock)
    }

    /// The store that the next owner opens after the previous owner ended.
    init(after last: NaiveStore, crashed: Bool) async {
        server = await last.server.successor(crashed: crashed)
        client = last.client
    }

    var capabilities: StoreCapabilities { server.capabilities }

    func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] { try await server.get(keys, client) }

    func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        switch try await commit(writes, enqueueing: []) {
        case .committed(let versions, _): .committed(versions)
        case .conflict(let index, let current): .conflict(index: index, current: current)
        case .taken: throw StoreError(.invalid, "no record was to be enqueued")
        }
    }

    func commit(_ writes: [StoreWrite], enqueueing records: [NewRecord]) async throws(StoreError) -> RecordCommitResult
    {
        try await server.answer { server throws(StoreError) in try await server.commit(writes, records, client) }
    }

    func update(_ updates: [(key: StoreKey, update: AtomicUpdate)]) async throws(StoreError) -> UpdateResult {
        try await server.answer { server throws(StoreError) in try await server.update(updates, client) }
    }

    func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try await server.scan(prefix, after, limit)
    }

    func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try await server.answer { server throws(StoreError) in try await server.enqueue(records, client) }
    }

    func claim(_ queue: QueueName, limit: Int, lease: Duration) async throws(StoreError) -> [RecordClaim] {
        try await server.answer { server throws(StoreError) in try await server.claim(queue, limit, lease, client) }
    }

    func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        try await server.answer { server throws(StoreError) in try await server.settle(settlements, client) }
    }

    func nextDue(_ queue: QueueName) async throws(StoreError) -> Duration? { try await server.nextDue(queue) }

    func counts(_ queue: QueueName) async throws(StoreError) -> RecordCounts { try await server.counts(queue) }

    func page(
        _ queue: QueueName,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage { try await server.page(queue, state, after, limit) }
}

extension StoreConformance {
    /// The conformance of a ``NaiveStore`` with everything that a check may need.
    ///
    /// A store with an owner has no second client.
    static func naive(_ mutant: Mutant? = nil, isOwned: Bool = false, seeds: Int = 10) -> StoreConformance {
        let isOwned = isOwned || mutant?.needsOwner == true
        typealias Connect = @Sendable (NaiveStore, ManualClock) async throws -> NaiveStore
        let connect: Connect = { NaiveStore(beside: $0, clock: $1) }
        return StoreConformance(
            seeds: seeds,
            reopen: { store, _ in await NaiveStore(after: store, crashed: false) },
            crash: { store, _ in await NaiveStore(after: store, crashed: true) },
            secondClient: isOwned ? nil : connect,
            loseAnswer: { store, _ in await store.server.loseAnswer() },
            makeStore: { NaiveStore(mutant, isOwned: isOwned, clock: $0) }
        )
    }
}

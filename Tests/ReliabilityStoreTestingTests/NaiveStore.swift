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

    func commit(_ write: StoreWrite) async throws(StoreError) -> WriteResult {
        switch server.mutant {
        case .singleWritesAreUnconditional:
            _ = try await commit([write.unconditional])
            return .committed(try await get([write.key])[0]?.version)
        case .singleWritesOfLongKeys where write.key.byteCount > capabilities.maxKeyBytes: return .committed(nil)
        case .singleWritesOfLongValues where write.value.count > capabilities.maxValueBytes: return .committed(nil)
        case .cancelledSingleWrites where Task.isCancelled: return .committed(nil)
        default: break
        }
        do throws(StoreError) {
            return try await commitAsList(write)
        } catch {
            switch error.reason {
            case .capacityExceeded where server.mutant == .singleWritesIgnoreTheCapacity: return .committed(nil)
            case .unknownOutcome where server.mutant == .singleWritesAreRepeated: return try await commitAsList(write)
            default: throw error
            }
        }
    }

    private func commitAsList(_ write: StoreWrite) async throws(StoreError) -> WriteResult {
        switch try await commit([write]) {
        case .committed(let versions): .committed(versions[0])
        case .conflict(_, let current): .conflict(current)
        }
    }

    func update(_ key: StoreKey, _ update: AtomicUpdate) async throws(StoreError) -> AtomicUpdate.Decision {
        let made = AtomicUpdate.Decision(isAllowed: true, remaining: 0, retryAfter: nil, resetAfter: .zero)
        switch server.mutant {
        case .singleUpdatesOfLongKeys where key.byteCount > capabilities.maxKeyBytes: return made
        case .cancelledSingleUpdates where Task.isCancelled: return made
        case .singleUpdatesInTwoSteps:
            let current = try await get([key])[0]?.value
            await Task.yield()
            let instant = Int64(1_000_000_000_000_000_000 + (await server.now).attoseconds / 1_000_000_000)
            let application = update.apply(to: current, now: instant)
            if let value = application.value {
                _ = try await commit([.put(key, value, .after(application.expiresAfter), if: .any)])
            }
            return application.decision
        default: break
        }
        let decision: AtomicUpdate.Decision
        do throws(StoreError) {
            decision = try await self.update([(key, update)]).decisions[0]
        } catch {
            if error.reason == .capacityExceeded, server.mutant == .singleUpdatesIgnoreTheCapacity { return made }
            throw error
        }
        switch server.mutant {
        case .singleUpdatesAreAllowed: return made
        case .singleUpdatesNeverExpire:
            _ = try await commit([.touch(key, .never, if: .any)])
            return decision
        default: return decision
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

extension StoreWrite {
    /// The value of a put.
    fileprivate var value: [UInt8] { if case .put(_, let value, _, _) = self { value } else { [] } }

    /// The write with the condition `any`.
    fileprivate var unconditional: StoreWrite {
        switch self {
        case .put(let key, let value, let expiry, _): .put(key, value, expiry, if: .any)
        case .delete(let key, _): .delete(key, if: .any)
        case .touch(let key, let expiry, _): .touch(key, expiry, if: .any)
        case .check(let key, _): .check(key, .any)
        }
    }
}

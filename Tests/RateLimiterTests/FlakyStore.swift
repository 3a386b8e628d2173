import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting

/// A store across a network that does as the test says.
final class FlakyStore: KeyValueStore {
    enum Mode: Sendable {
        case works
        case fails(StoreError.Reason)
        /// Does what it is asked, then cannot say so.
        case losesAnswers
        /// Does not answer.
        case hangs
    }

    private let mode = Lock(Mode.works)
    let calls = Counter()
    private let store: InMemoryStore
    private let clock: ManualClock

    init(clock: ManualClock) {
        self.clock = clock
        store = InMemoryStore(clock: clock)
    }

    var capabilities: StoreCapabilities {
        StoreCapabilities(durability: .none, openedAt: nil, canStall: true)
    }

    func set(_ mode: Mode) { self.mode.withLock { $0 = mode } }

    func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] { try await store.get(keys) }

    func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult { try await store.commit(writes) }

    func update(_ updates: [(key: StoreKey, update: AtomicUpdate)]) async throws(StoreError) -> UpdateResult {
        calls.increment()
        switch mode.withLock({ $0 }) {
        case .works: return try await store.update(updates)
        case .fails(let reason): throw StoreError(reason, "as the test says")
        case .losesAnswers:
            _ = try await store.update(updates)
            throw StoreError(.unknownOutcome, "as the test says")
        case .hangs:
            try? await clock.sleep(for: .seconds(86_400))
            throw StoreError(.unknownOutcome, "as the test says")
        }
    }

    func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try await store.scan(prefix, after: after, limit: limit)
    }
}

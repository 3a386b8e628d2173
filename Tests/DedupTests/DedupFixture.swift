import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting

@testable import Dedup

/// The resolution of a store, which rounds the ends of leases and entries up to whole milliseconds.
let resolution = Duration.milliseconds(1)

/// A store on a manual clock, with the events of its deduplicators.
struct DedupFixture {
    let clock = ManualClock()
    let memory: InMemoryStore
    let events = EventRecorder<DedupEvent>()

    init() { memory = InMemoryStore(clock: clock) }

    func dedup(
        _ mode: Deduplicator.Mode = .replay(retention: .seconds(3600)),
        lease: Duration = .seconds(30),
        storeFailure: StoreFailureMode = .failClosed(),
        keyspace: Keyspace = "test",
        store: (any KeyValueStore)? = nil,
        process: LocalClaims = .shared
    ) -> Deduplicator {
        Deduplicator(
            Deduplicator.Configuration(mode, lease: lease),
            keyspace: keyspace,
            store: store ?? memory,
            storeFailure: storeFailure,
            clock: clock,
            localClaims: process,
            observer: events.recordCalls
        )
    }

    func entry(_ key: CompositeKey) async throws -> StoreEntry? {
        try await memory.get(key.storeKey(in: "test", "charge"))
    }

    /// Stores the claim of a process that ended without settling the claim.
    func leaveClaim(_ key: CompositeKey, lease: Duration = .seconds(30), retained days: UInt64 = 30) async throws {
        let record = StoredClaim(
            state: .inProgress,
            id: .random(),
            retentionMilliseconds: days * 86_400_000,
            digest: nil
        )
        let expiry = Expiry.after(lease + .milliseconds(record.retentionMilliseconds))
        _ = try await memory.commit([.put(key.storeKey(in: "test", "charge"), record.bytes, expiry, if: .absent)])
    }

    /// The names of at least `count` events.
    func names(_ count: Int) async -> [String] {
        await events.wait(for: count).map { event in
            switch event {
            case .executed: "executed"
            case .replayed: "replayed"
            case .rejected(_, let error): "rejected \(error.code)"
            case .tookOver: "tookOver"
            case .released: "released"
            case .ranUnprotected: "ranUnprotected"
            case .lostOwnership: "lostOwnership"
            case .resultNotKept: "resultNotKept"
            case .notStored: "notStored"
            case .notReleased: "notReleased"
            case .storeDown(let error): "storeDown \(error.reason)"
            case .storeRecovered: "storeRecovered"
            case .missed(let count): "missed \(count)"
            }
        }
    }
}

extension EventRecorder<DedupEvent> {
    /// Records an event unless the event reports a change of the store.
    @Sendable func recordCalls(_ event: DedupEvent) {
        switch event {
        case .storeDown, .storeRecovered: break
        default: record(event)
        }
    }
}

/// A deduplicator over a store on a simulation's clock, with the number of runs of its operation.
struct SimulatedDedupFixture {
    let clock: ManualClock
    let memory: InMemoryStore
    let store: FaultInjectingStore
    let dedup: Deduplicator
    // Runs of one seed draw the same claims, and some of them run at the same time.
    let process = LocalClaims()
    let runs = ConcurrencyCounter()
    let events = EventRecorder<DedupEvent>()

    init(
        _ simulation: Simulation,
        maxBytes: Int = 1 << 20,
        lease: Duration = .seconds(30),
        mode: Deduplicator.Mode = .replay(retention: .seconds(3600))
    ) {
        clock = simulation.clock
        memory = InMemoryStore(InMemoryStore.Configuration(maxBytes: maxBytes), clock: clock)
        store = FaultInjectingStore(memory, clock: clock)
        dedup = Deduplicator(
            Deduplicator.Configuration(mode, lease: lease),
            keyspace: "test",
            store: store,
            storeFailure: .failClosed(),
            clock: clock,
            localClaims: process,
            observer: events.recordCalls
        )
    }

    func pay(_ result: String = "receipt", taking duration: Duration = .milliseconds(500)) async throws
        -> DedupResult<String>
    {
        try await dedup.run("charge", ["ada", "k1"]) { _ in
            runs.increment()
            try? await clock.sleep(for: duration)
            return result
        }
    }
}

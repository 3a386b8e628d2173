import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import Dedup

@Suite("A result that the store cannot take for a moment")
struct KeptResultTests {
    /// A store on a simulation's clock, a deduplicator over it, and how often the operation ran.
    struct Bench {
        let clock: ManualClock
        let memory: InMemoryStore
        let store: FaultInjectingStore
        let dedup: Deduplicator
        // Runs of one seed draw the same claims, and some run at the same time.
        let process = LiveClaims()
        let runs = Counter()
        let events = EventRecorder<DedupEvent>()

        init(
            _ simulation: Simulation,
            maximumBytes: Int = 1 << 20,
            lease: Duration = .seconds(30),
            mode: DedupMode = .replay(retention: .seconds(3600))
        ) {
            clock = simulation.clock
            memory = InMemoryStore(maximumBytes: maximumBytes, clock: clock)
            store = FaultInjectingStore(memory, clock: clock)
            dedup = Deduplicator(
                DedupConfiguration(mode, lease: lease),
                keyspace: "test",
                store: store,
                clock: clock,
                liveClaims: process,
                observer: events.record
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

    private static let seeds: Range<UInt64> = 0..<20

    @Test(
        "is written when the store is back, and the operation does not run again",
        arguments: [StoreFault.failBefore, .refuse(.diskFull), .unknownOutcomeBeforeApply, .hang]
    )
    func shortOutage(fault: StoreFault) throws {
        try Simulation.run(seeds: Self.seeds) { simulation in
            let bench = Bench(simulation)
            let first = simulation.spawn { try await bench.pay() }
            try await bench.clock.sleep(for: .milliseconds(200))
            bench.store.outage = fault
            try await bench.clock.sleep(for: .milliseconds(800))
            bench.store.outage = nil
            simulation.expect(try await first.value.value == "receipt", "the first caller lost its result")
            try await bench.clock.sleep(for: .seconds(31))
            simulation.expect(try await bench.pay().isReplay, "the second call ran")
            simulation.expect(bench.runs.value == 1, "it ran \(bench.runs.value) times")
        }
    }

    @Test("is written after an outage that its caller does not wait for")
    func longOutage() throws {
        try Simulation.run(seeds: Self.seeds) { simulation in
            let bench = Bench(simulation)
            let start = bench.clock.now
            let first = simulation.spawn { try await bench.pay() }
            try await bench.clock.sleep(for: .milliseconds(200))
            bench.store.outage = .failBefore
            let result = try await first.value
            simulation.expect(!result.isStored, "it says that it is stored")
            let waited = start.duration(to: bench.clock.now)
            simulation.expect(waited <= .seconds(4), "the caller waited until \(waited)")
            try await bench.clock.sleep(for: .seconds(20))
            bench.store.outage = nil
            try await bench.clock.sleep(for: .seconds(15))
            simulation.expect(try await bench.pay().isReplay, "the second call ran")
            simulation.expect(bench.runs.value == 1, "it ran \(bench.runs.value) times")
        }
    }

    @Test("is written although its caller was cancelled meanwhile")
    func cancelledCaller() throws {
        try Simulation.run(seeds: Self.seeds) { simulation in
            let bench = Bench(simulation)
            let first = simulation.spawn { try await bench.pay() }
            try await bench.clock.sleep(for: .milliseconds(200))
            bench.store.outage = .failBefore
            try await bench.clock.sleep(for: .milliseconds(800))
            first.cancel()
            try await bench.clock.sleep(for: .seconds(simulation.random(in: 0...10)))
            bench.store.outage = nil
            simulation.expect(try await first.value.value == "receipt", "the first caller lost its result")
            try await bench.clock.sleep(for: .seconds(31))
            simulation.expect(try await bench.pay().isReplay, "the second call ran")
            simulation.expect(bench.runs.value == 1, "it ran \(bench.runs.value) times")
        }
    }

    @Test("is not written over that of another process, which took the claim over meanwhile")
    func lostMeanwhile() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let clock = simulation.clock
            let memory = InMemoryStore(clock: clock)
            let shared = StoreDouble(memory, isShared: true)
            let cutOff = FaultInjectingStore(shared, clock: clock)
            let configuration = DedupConfiguration(.replay(retention: nil), lease: .seconds(5))
            let events = EventRecorder<DedupEvent>()
            func process(_ store: any KeyValueStore) -> Deduplicator {
                Deduplicator(
                    configuration,
                    keyspace: "test",
                    store: store,
                    clock: clock,
                    liveClaims: LiveClaims(),
                    observer: events.record
                )
            }
            let first = process(cutOff)
            let late = simulation.spawn {
                try await first.run("charge", ["ada", "k1"]) { _ in
                    try await clock.sleep(for: .milliseconds(500))
                    return "first"
                }
            }
            try await clock.sleep(for: .milliseconds(200))
            cutOff.outage = .failBefore
            try await clock.sleep(for: .seconds(simulation.random(in: 5...20)))
            let second = try await process(shared).run("charge", ["ada", "k1"]) { "second \($0.isTakeover)" }
            simulation.expect(second.value == "second true" && second.isStored, "\(second)")
            let entry = try await memory.get(DedupKey("ada", "k1").storeKey(in: "test", "charge"))
            cutOff.outage = nil
            let result = try await late.value
            simulation.expect(result.value == "first" && !result.isStored, "\(result)")
            try await clock.sleep(for: .seconds(60))
            let now = try await memory.get(DedupKey("ada", "k1").storeKey(in: "test", "charge"))
            simulation.expect(now == entry, "the first wrote over the second")
        }
    }

    @Test("in a store that is full for it, is replaced by a mark, and the operation does not run again")
    func fullStore() throws {
        try Simulation.run(seeds: 0..<1) { simulation in
            let bench = Bench(simulation, maximumBytes: 400)
            let large = String(repeating: "x", count: 1000)
            let result = try await bench.pay(large)
            simulation.expect(result.value == large, "the first caller lost its result")
            for wait in [Duration.zero, .seconds(31), .seconds(3000)] {
                try await bench.clock.sleep(for: wait)
                do {
                    _ = try await bench.pay()
                    simulation.expect(false, "it ran again")
                } catch let error as DedupError {
                    simulation.expect(error.code == "dedup.result_not_kept", "\(error)")
                }
            }
            simulation.expect(bench.runs.value == 1, "it ran \(bench.runs.value) times")
        }
    }

    @Test("in a store that is full for it, is written when there is room")
    func roomAgain() throws {
        try Simulation.run(seeds: 0..<1) { simulation in
            let bench = Bench(simulation, maximumBytes: 2000)
            let filler = StoreKey("other", "filler")
            _ = try await bench.memory.commit([.put(filler, Array(repeating: 0, count: 1500), .never, if: .any)])
            let large = String(repeating: "x", count: 1000)
            let result = try await bench.pay(large)
            simulation.expect(result.value == large, "the first caller lost its result")
            try await bench.clock.sleep(for: .seconds(10))
            _ = try await bench.memory.commit([.delete(filler, if: .any)])
            try await bench.clock.sleep(for: .seconds(2))
            let again = try await bench.pay()
            simulation.expect(again.isReplay && again.value == large, "the result was not written")
        }
    }
}

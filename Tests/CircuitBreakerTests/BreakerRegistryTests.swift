import CircuitBreaker
import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@Suite("BreakerRegistry")
struct BreakerRegistryTests {
    private let clock = ManualClock()
    private let events = EventRecorder<BreakerRegistryEvent<Int>>()

    private func registry(capacity: Int) -> BreakerRegistry<Int> {
        BreakerRegistry(.consecutiveFailures(1), capacity: capacity, clock: clock, observer: events.record)
    }

    @Test("a key has one breaker with a state of its own")
    func keys() throws {
        let registry = registry(capacity: 10)
        try registry.breaker(for: 1).acquire().fail()
        #expect(registry.breaker(for: 1).state.isOpen)
        #expect(registry.breaker(for: 2).state == .closed)
        #expect(registry.breaker(for: 1) === registry.breaker(for: 1))
        #expect(registry.count == 2)
        #expect(registry.snapshots.mapValues(\.state.isOpen) == [1: true, 2: false])
    }

    @Test("a full registry evicts the closed breaker that has not been used for the longest time")
    func evicts() async {
        let registry = registry(capacity: 3)
        for key in [1, 2, 3, 1, 4] { _ = registry.breaker(for: key) }
        #expect(Set(registry.snapshots.keys) == [1, 3, 4])
        #expect(await events.wait(for: 1) == [.evicted(2)])
    }

    @Test("eviction never drops a breaker that is open, half-open, ramping, forced, busy or stored")
    func keepsBusy() async throws {
        let configuration = Breaker.Configuration(tripCondition: .consecutiveFailures(1), rampDuration: .seconds(60))
        let registry = BreakerRegistry<Int>(configuration, capacity: 7, clock: clock)
        for key in [1, 2, 3] { try registry.breaker(for: key).acquire().fail() }
        clock.advance(by: .seconds(30))
        try registry.breaker(for: 1).acquire().ignore()
        try registry.breaker(for: 2).acquire().succeed()
        let handles = (registry.breaker(for: 4).forceOpen(), registry.breaker(for: 5).forceClosed())
        let permit = try Held(registry.breaker(for: 6))
        let stored = registry.breaker(for: 7)
        let states = registry.snapshots
        #expect(states[1]?.state == .halfOpen && states[3]?.state == .open(remaining: .zero))
        for key in 8..<100 { try registry.breaker(for: key).acquire().fail() }
        #expect(registry.snapshots == states)
        #expect(registry.unguardedCount == 92)
        handles.0.release()
        permit.settle(.success)
        #expect(stored.state == .closed)
    }

    @Test("calls for a key without a place are admitted, reported once and guarded when there is room again")
    func full() async throws {
        let registry = registry(capacity: 1)
        try registry.breaker(for: 1).acquire().fail()
        for _ in 0..<5 { try registry.breaker(for: 2).acquire().fail() }
        #expect(registry.count == 1 && registry.unguardedCount == 5)
        clock.advance(by: .seconds(30))
        try registry.breaker(for: 1).acquire().succeed()
        try registry.breaker(for: 2).acquire().fail()
        #expect(registry.breaker(for: 2).state.isOpen)
        _ = registry.breaker(for: 3)
        registry.remove(2)
        _ = registry.breaker(for: 3)
        #expect(registry.snapshots.keys.sorted() == [3])
        let seen = await events.wait(for: 7)
        #expect(
            seen == [
                .breaker(1, .opened(generation: 2, for: .seconds(30))), .full(2),
                .breaker(1, .halfOpened(generation: 3)), .breaker(1, .closed(generation: 4)), .evicted(1),
                .breaker(2, .opened(generation: 2, for: .seconds(30))), .full(3),
            ]
        )
    }

    @Test("a handle or a reload of a breaker that a full registry does not keep affects no other key")
    func handleOfUnguarded() throws {
        let registry = registry(capacity: 1)
        try registry.breaker(for: 1).acquire().fail()
        let unguarded = registry.breaker(for: 2)
        let handle = unguarded.forceOpen()
        try registry.breaker(for: 3).acquire().succeed()
        #expect(unguarded.state == .forcedOpen)
        handle.release()
    }

    @Test("a reload changes every breaker and later breakers, and a rejected reload changes nothing")
    func reload() throws {
        let registry = registry(capacity: 10)
        let first = registry.breaker(for: 1)
        try registry.reload(.consecutiveFailures(7))
        let error = #expect(throws: ConfigurationError.self) { try registry.reload(Breaker.Configuration(probes: 0)) }
        #expect(error?.problems == ["probes must be at least 1 (is 0)"])
        for breaker in [first, registry.breaker(for: 2)] { #expect(breaker.configuration == .consecutiveFailures(7)) }
        #expect(registry.configuration == .consecutiveFailures(7))
    }

    @Test("the registry never exceeds its capacity under concurrent calls, and open breakers stay")
    func concurrent() async throws {
        let registry = registry(capacity: 50)
        for key in 0..<10 { try registry.breaker(for: key).acquire().fail() }
        await withTaskGroup { group in
            for seed in UInt64(0)..<8 {
                group.addTask {
                    var generator = SeededGenerator(seed: seed)
                    for _ in 0..<2000 {
                        let key = Int.random(in: 10..<500, using: &generator)
                        _ = try? await registry.breaker(for: key).run {}
                        #expect(registry.count <= 50)
                    }
                }
            }
        }
        for key in 0..<10 { #expect(registry.breaker(for: key).state.isOpen) }
    }

    @Test("INV-34: no lock while user code runs: the clock may use the registry during an eviction")
    func clockUsesRegistry() {
        let clock = CallingClock()
        let registry = BreakerRegistry<Int>(capacity: 1, clock: clock)
        clock.onRead.withLock { $0 = { [weak registry] in _ = registry?.count } }
        for key in 1...3 { _ = registry.breaker(for: key) }
        #expect(registry.count == 1)
    }

    @Test("a capacity that cannot work is rejected with its value")
    func capacity() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = BreakerRegistry<Int>(capacity: 0)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("circuit breaker registry: capacity must be at least 1 (is 0)"))
    }
}

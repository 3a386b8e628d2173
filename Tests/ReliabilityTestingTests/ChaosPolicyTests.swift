import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@Suite("ChaosPolicy")
struct ChaosPolicyTests {
    private let clock = ManualClock()

    @Test("the policy picks calls at its rate, the same calls for the same seed")
    func rate() async {
        let chaos = ChaosSwitch(clock: clock)
        chaos.arm(for: .seconds(1))
        func picked(_ seed: UInt64, rate: Double) async -> [Bool] {
            let generator = SeededGenerator(seed: seed)
            let policy = ChaosPolicy(.failure(TestError()), rate: rate, when: chaos, randomness: generator)
            var picked: [Bool] = []
            for _ in 0..<1000 {
                do {
                    try await policy.run {}
                    picked.append(false)
                } catch {
                    picked.append(true)
                }
            }
            return picked
        }
        let first = await picked(1, rate: 0.2)
        #expect((150...250).contains(first.count { $0 }))
        #expect(await picked(1, rate: 0.2) == first)
        #expect(await picked(2, rate: 0.2) != first)
        #expect(await !picked(1, rate: 0).contains(true))
        #expect(await !picked(1, rate: 1).contains(false))
    }

    @Test("latency comes before the call, and a lost answer after the call")
    func order() throws {
        try Simulation.run(seed: 1) { simulation in
            let chaos = ChaosSwitch(clock: simulation.clock)
            chaos.arm(for: .seconds(3600))
            let late = ChaosPolicy(.latency(.seconds(2)...(.seconds(3))), rate: 1, when: chaos)
            let start = simulation.clock.now
            let began = try await late.run { simulation.clock.now }
            #expect((.seconds(2)...(.seconds(3))).contains(start.duration(to: began)))

            let calls = ConcurrencyCounter()
            let lost = ChaosPolicy(.lostAnswer(TestError()), rate: 1, when: chaos)
            await #expect(throws: TestError.self) { try await lost.run { _ = calls.increment() } }
            #expect(calls.value == 1)
            await #expect(throws: TestError.self) {
                try await ChaosPolicy(.failure(TestError()), rate: 1, when: chaos).run { _ = calls.increment() }
            }
            #expect(calls.value == 1)
        }
    }

    @Test("a call hangs until its task is cancelled or the chaos ends")
    func hang() throws {
        try Simulation.run(seed: 1) { simulation in
            let chaos = ChaosSwitch(clock: simulation.clock)
            chaos.arm(for: .seconds(60))
            let policy = ChaosPolicy(.hang, rate: 1, when: chaos)
            let task = simulation.spawn { try await policy.run {} }
            try await simulation.clock.sleep(for: .seconds(1))
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            let start = simulation.clock.now
            try await policy.run {}
            #expect(start.duration(to: simulation.clock.now) == .seconds(59))
        }
    }

    @Test("latency ends with the chaos")
    func latencyEnds() throws {
        try Simulation.run(seed: 1) { simulation in
            let chaos = ChaosSwitch(clock: simulation.clock)
            chaos.arm(for: .seconds(60))
            let year = Duration.seconds(365 * 86_400)
            let late = ChaosPolicy(.latency(year...year), rate: 1, when: chaos)
            let start = simulation.clock.now
            try await late.run {}
            #expect(start.duration(to: simulation.clock.now) == .seconds(60))
        }
    }

    @Test("a rate outside of 0 to 1 is rejected")
    func invalidRate() async {
        await #expect(processExitsWith: .failure) { _ = ChaosPolicy(.hang, rate: .nan, when: ChaosSwitch()) }
        await #expect(processExitsWith: .failure) { _ = ChaosPolicy(.hang, rate: 1.01, when: ChaosSwitch()) }
    }

    @Test("an observer receives every injected fault")
    func observer() async throws {
        let chaos = ChaosSwitch(clock: clock)
        chaos.arm(for: .seconds(1))
        let events = EventRecorder<ChaosEvent>()
        let policy = ChaosPolicy(.failure(TestError()), rate: 1, when: chaos, observer: events.record)
        try? await policy.run {}
        _ = try? await ChaosResult<Int>(rate: 1, when: chaos, observer: events.record) { $0 }.run { 1 }
        let seen = await events.wait(for: 2)
        #expect(seen.contains { if case .failed(let error) = $0 { error is TestError } else { false } })
        #expect(seen.contains { if case .wrongResult = $0 { true } else { false } })
    }

    @Test("the layer reports its longest wait, or none if it can hang")
    func layers() {
        let chaos = ChaosSwitch(clock: clock)
        #expect(ChaosPolicy(.hang, rate: 0.5, when: chaos).layers.map(\.kind) == [.chaos])
        #expect(ChaosPolicy(.hang, rate: 0.5, when: chaos).layers.map(\.waits) == [nil])
        let late = ChaosPolicy(.latency(.zero...(.seconds(2))), rate: 0.5, when: chaos)
        #expect(late.layers.map(\.waits) == [.seconds(2)])
    }
}

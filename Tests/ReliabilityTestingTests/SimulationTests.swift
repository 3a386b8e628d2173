import ReliabilityCore
import ReliabilityTesting
import Testing

@Suite("Simulation")
struct SimulationTests {
    private struct Failure: Error {}

    private func failure(_ scenario: @escaping @Sendable (Simulation) async throws -> Void) -> SimulationFailure? {
        #expect(throws: SimulationFailure.self) { try Simulation.run(seed: 7, stepLimit: 1000, scenario) }
    }

    @Test("the clock moves by itself, and a year takes no time")
    func time() throws {
        try Simulation.run(seed: 1) { simulation in
            let start = simulation.clock.now
            try await simulation.clock.sleep(for: .seconds(365 * 86_400))
            #expect(start.duration(to: simulation.clock.now) == .seconds(365 * 86_400))
        }
    }

    @Test("the same seed gives the same trace, and seeds differ")
    func deterministic() throws {
        func trace(_ seed: UInt64) throws -> [String] {
            try Simulation.run(seed: seed) { simulation in
                for client in 0..<10 {
                    simulation.spawn {
                        let wait = Duration.milliseconds(simulation.random(in: 0...20))
                        try await simulation.clock.sleep(for: wait)
                        await Task.yield()
                        await withTaskGroup { group in
                            for child in 0..<3 {
                                group.addTask {
                                    await Task.yield()
                                    simulation.note("child \(child) of client \(client)")
                                }
                            }
                        }
                    }
                }
                await simulation.waitForClients()
            }
        }
        for seed in 0..<20 as Range<UInt64> {
            let first = try trace(seed)
            #expect(first.count > 100)
            #expect(try trace(seed) == first)
        }
        #expect(try trace(1) != trace(2))
    }

    @Test("a thousand seeds make every order of three tasks happen")
    func orders() throws {
        let orders = EventRecorder<[Int]>()
        try Simulation.run(seeds: 0..<1000) { simulation in
            let order = EventRecorder<Int>()
            for client in 0..<3 { simulation.spawn { order.record(client) } }
            await simulation.waitForClients()
            orders.record(order.events)
        }
        #expect(Set(orders.events).count == 6)
        #expect(orders.events.allSatisfy { Set($0) == [0, 1, 2] })
    }

    @Test("a race that one order in many loses is found, and its seed finds it again")
    func findsRace() throws {
        @Sendable func race(_ simulation: Simulation) async throws {
            let account = EventRecorder<Int>()
            for _ in 0..<2 {
                simulation.spawn {
                    let before = account.events.last ?? 0
                    await Task.yield()
                    account.record(before + 1)
                }
            }
            await simulation.waitForClients()
            simulation.expect(account.events.last == 2, "one of two deposits was lost")
        }
        let found = #expect(throws: SimulationFailure.self) { try Simulation.run(seeds: 0..<100, race) }
        let seed = try #require(found).seed
        let again = #expect(throws: SimulationFailure.self) { try Simulation.run(seed: seed, race) }
        guard case .violated("one of two deposits was lost") = again?.reason else {
            Issue.record("\(String(describing: again))")
            return
        }
        #expect(again?.description.contains("Simulation.run(seed: \(seed))") == true)
        #expect(again?.trace.isEmpty == false)
    }

    @Test("tasks that wait for each other are a deadlock that names them")
    func deadlock() {
        let failure = failure { simulation in
            let never = EventRecorder<Int>()
            simulation.spawn("left") { await never.wait(for: 1) }
            simulation.spawn("right") { await never.wait(for: 2) }
            simulation.spawn("neither") {}
        }
        guard case .deadlock(waiting: ["left", "right"]) = failure?.reason else {
            Issue.record("\(String(describing: failure))")
            return
        }
    }

    @Test("what the scenario throws fails the run")
    func throwing() {
        guard case .threw(let error) = failure({ _ in throw Failure() })?.reason, error is Failure else {
            Issue.record("nothing was thrown")
            return
        }
    }

    @Test("a run without an end is stopped")
    func endless() {
        let failure = failure { _ in while !Task.isCancelled { await Task.yield() } }
        guard case .stepLimit = failure?.reason else {
            Issue.record("\(String(describing: failure))")
            return
        }
    }

    @Test("work that comes back from another thread fails the run")
    func escaping() {
        let failure = failure { simulation in
            let task = Task.detached { () }
            // Spins, so that the answer is there before the simulation would be idle.
            let isBack = Counter()
            simulation.spawn {
                await task.value
                isBack.increment()
            }
            while isBack.value == 0, !Task.isCancelled { await Task.yield() }
        }
        switch failure?.reason {
        // Which of both it is depends on how long the other thread takes.
        case .escaped, .stepLimit: break
        default: Issue.record("\(String(describing: failure))")
        }
    }

    @Test("a task is cancelled at many different moments: before, while it sleeps, and after")
    func cancelSometime() throws {
        let moments = EventRecorder<Int>()
        try Simulation.run(seeds: 0..<200) { simulation in
            let step = Counter()
            let task = simulation.spawn {
                for _ in 0..<5 {
                    try await simulation.clock.sleep(for: .seconds(1))
                    step.increment()
                }
            }
            simulation.cancelSometime(task, within: 20)
            _ = await task.result
            moments.record(step.value)
        }
        #expect(Set(moments.events) == [0, 1, 2, 3, 4, 5])
    }

    @Test("each generator draws other numbers, the same for the same seed")
    func generators() throws {
        let drawn = EventRecorder<[UInt64]>()
        for _ in 0..<2 {
            try Simulation.run(seed: 3) { simulation in
                var (first, second) = (simulation.generator(), simulation.generator())
                drawn.record([first.next(), second.next()])
            }
        }
        #expect(drawn.events[0] == drawn.events[1])
        #expect(drawn.events[0][0] != drawn.events[0][1])
    }
}

import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@Suite("Simulation")
struct SimulationTests {
    private func failure(_ scenario: @escaping @Sendable (Simulation) async throws -> Void) -> SimulationFailure? {
        #expect(throws: SimulationFailure.self) { try Simulation.run(seed: 7, maxSteps: 1000, scenario) }
    }

    @Test("the clock advances by itself")
    func time() throws {
        try Simulation.run(seed: 1) { simulation in
            let start = simulation.clock.now
            try await simulation.clock.sleep(for: .seconds(365 * 86_400))
            #expect(start.duration(to: simulation.clock.now) == .seconds(365 * 86_400))
        }
    }

    @Test("a seed determines the trace")
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
                                    simulation.record("child \(child) of client \(client)")
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

    @Test("a thousand seeds produce every order of three tasks")
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

    @Test("a rare race is found, and its seed finds it again")
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

    @Test("a deadlock fails the run and names its tasks")
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

    @Test("an error of the scenario fails the run")
    func throwing() {
        guard case .threw(let error) = failure({ _ in throw TestError() })?.reason, error is TestError else {
            Issue.record("nothing was thrown")
            return
        }
    }

    @Test("a run past the step limit fails")
    func endless() {
        let failure = failure { _ in while !Task.isCancelled { await Task.yield() } }
        guard case .maxSteps = failure?.reason else {
            Issue.record("\(String(describing: failure))")
            return
        }
    }

    @Test("work that returns from another thread fails the run")
    func escaping() {
        let failure = failure { simulation in
            let task = Task.detached { () }
            // The loop spins, so the answer arrives before the simulation is idle.
            let isBack = ConcurrencyCounter()
            simulation.spawn {
                await task.value
                isBack.increment()
            }
            while isBack.value == 0, !Task.isCancelled { await Task.yield() }
        }
        switch failure?.reason {
        // The reason depends on the speed of the other thread.
        case .escaped, .maxSteps: break
        default: Issue.record("\(String(describing: failure))")
        }
    }

    @Test("cancelSometime cancels a task before, during and after its sleeps")
    func cancelSometime() throws {
        let moments = EventRecorder<Int>()
        try Simulation.run(seeds: 0..<200) { simulation in
            let step = ConcurrencyCounter()
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

    @Test("a drawn cancellation reaches a task that waits forever")
    func cancelsWaiting() throws {
        try Simulation.run(seeds: 0..<50) { simulation in
            let never = EventRecorder<Int>()
            let task = simulation.spawn { await never.wait(for: 1) }
            simulation.cancelSometime(task)
            await simulation.waitForClients()
        }
    }

    @Test("a sleep without end does not advance the clock to the end of time")
    func endlessSleep() {
        let failure = failure { simulation in
            let bank = ScriptedDependency([.zero: .hanging], honoursCancellation: false, clock: simulation.clock)
            simulation.spawn("caller") { try await bank.call() }
            simulation.spawn("sleeper") { try await simulation.clock.sleep(for: .seconds(Int64.max)) }
        }
        guard case .deadlock(waiting: ["caller", "sleeper"]) = failure?.reason else {
            Issue.record("\(String(describing: failure))")
            return
        }
    }

    @TaskLocal private static var mark = 0

    @Test("a nested run leaves the outer run and its task unaffected")
    func nested() async throws {
        try await Self.$mark.withValue(1) {
            let order = EventRecorder<Int>()
            try Simulation.run(seed: 1) { outer in
                try await Self.$mark.withValue(2) {
                    try Simulation.run(seed: 2) { inner in
                        try await inner.clock.sleep(for: .seconds(1))
                        order.record(inner.random(in: 3...3))
                    }
                    order.record(Self.mark)
                    try await outer.clock.sleep(for: .seconds(1))
                    #expect(!Task.isCancelled)
                }
            }
            #expect(order.events == [3, 2])
            #expect(Self.mark == 1)
            await Task.yield()
            #expect(Self.mark == 1)
        }
    }

    private actor Tally {
        var count = 0
        func add() async {
            let before = count
            await Task.yield()
            count = max(count, before + 1)
        }
        func increment() { count += 1 }
    }

    @Test("the seed decides the interleaving in actors")
    func actors() throws {
        let counts = EventRecorder<Int>()
        try Simulation.run(seeds: 0..<100) { simulation in
            let (safe, unsafe) = (Tally(), Tally())
            for _ in 0..<5 {
                simulation.spawn {
                    await safe.increment()
                    await unsafe.add()
                }
            }
            await simulation.waitForClients()
            let count = await safe.count
            simulation.expect(count == 5, "\(count)")
            counts.record(await unsafe.count)
        }
        #expect(Set(counts.events).count > 1)
    }

    @Test("a scenario on the main actor fails")
    func mainActor() {
        #expect(failure { _ in await MainActor.run {} } != nil)
    }

    @Test("each generator has its own sequence, determined by the seed")
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

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

    @Test("a cancellation that was drawn comes to a task that waits for nothing else")
    func cancelsWaiting() throws {
        try Simulation.run(seeds: 0..<50) { simulation in
            let never = EventRecorder<Int>()
            let task = simulation.spawn { await never.wait(for: 1) }
            simulation.cancelSometime(task)
            await simulation.waitForClients()
        }
    }

    @Test("a sleep without end is no reason to move the clock to the end of time")
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

    @Test("a run inside a run, and inside a task, disturbs neither")
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

    @Test("actors take part, and their re-entrancy is a choice of the seed too")
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

    @Test("a scenario on the main actor does not pass")
    func mainActor() {
        #expect(failure { _ in await MainActor.run {} } != nil)
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

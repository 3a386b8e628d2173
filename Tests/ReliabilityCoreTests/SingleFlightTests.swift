import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCore

@Suite("SingleFlight")
struct SingleFlightTests {
    let clock = ManualClock()
    let gate = TaskGate()
    let flights: SingleFlight<String, Int>

    init() { flights = SingleFlight(clock: clock) }

    /// Waits until the flights have a number of waiting calls.
    private func waitForWaiting(_ count: Int) async {
        while flights.snapshot.waiting != count { await Task.yield() }
    }

    /// Starts calls of a key whose operation waits at the gate and returns a number.
    private func calls(_ count: Int, of key: String = "key", returning value: Int = 7) async -> [Task<Int, any Error>] {
        let before = flights.snapshot.waiting
        var tasks: [Task<Int, any Error>] = []
        for number in 1...count {
            tasks.append(
                Task {
                    try await flights.run(key) { [gate] in
                        await gate.pass()
                        try Task.checkCancellation()
                        return value
                    }
                }
            )
            await waitForWaiting(before + number)
        }
        return tasks
    }

    @Test("C6: a thousand calls of a cold key run the operation once, and the next call runs it again")
    func once() async throws {
        let tasks = await calls(1000)
        gate.open()
        for task in tasks { #expect(try await task.value == 7) }
        #expect(flights.snapshot == SingleFlightSnapshot(running: 0, waiting: 0, started: 1, joined: 999))
        #expect(try await flights.run("key") { 8 } == 8)
        #expect(flights.snapshot.started == 2)
    }

    @Test("calls of different keys do not wait for each other")
    func otherKeys() async throws {
        let tasks = await calls(1)
        #expect(try await flights.run("other") { 8 } == 8)
        gate.open()
        #expect(try await tasks[0].value == 7)
    }

    @Test("C11: the cancellation of the first call spares the other calls", arguments: 0..<3)
    func cancellation(_ cancelled: Int) async throws {
        let tasks = await calls(3)
        tasks[cancelled].cancel()
        await #expect(throws: CancellationError.self) { try await tasks[cancelled].value }
        gate.open()
        for index in 0..<3 where index != cancelled { #expect(try await tasks[index].value == 7) }
        #expect(flights.snapshot.started == 1)
    }

    @Test("C11: the operation is cancelled when every call has left")
    func everyCallLeaves() async throws {
        let hasBeenCancelled = TaskGate()
        let task = Task {
            try await flights.run("key") {
                do { try await hang() } catch { hasBeenCancelled.open() }
                return 7
            }
        }
        await waitForWaiting(1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        await hasBeenCancelled.pass()
        #expect(flights.snapshot.running == 0)
    }

    @Test("C12: a call after the last call has left starts a new operation and never receives the cancellation")
    func lastLeaves() async throws {
        let tasks = await calls(2)
        for task in tasks { task.cancel() }
        for task in tasks { await #expect(throws: CancellationError.self) { try await task.value } }
        // The first operation ignores its cancellation at the gate.
        #expect(try await flights.run("key") { 8 } == 8)
        gate.open()
        #expect(flights.snapshot.started == 2)
        #expect(flights.snapshot.joined == 1)
    }

    @Test("C13: a call leaves at its own deadline, and the operation has no deadline")
    func deadline() async throws {
        let tasks = await calls(1)
        let late = Task {
            let scope = DeadlineScope(Deadline(instant: 1_000_000_000, timeSource: TimeSource(clock)))
            return try await DeadlineScope.$innermost.withValue(scope) {
                try await flights.run("key") { 8 }
            }
        }
        await clock.advance(by: .seconds(1), whenSleeping: 1)
        await #expect(throws: SingleFlightError(.deadline)) { try await late.value }
        gate.open()
        #expect(try await tasks[0].value == 7)
    }

    @Test("C13: a call whose deadline has passed starts nothing")
    func expiredDeadline() async throws {
        let scope = DeadlineScope(Deadline(instant: 0, timeSource: TimeSource(clock)))
        await DeadlineScope.$innermost.withValue(scope) {
            await #expect(throws: SingleFlightError(.deadline)) { try await flights.run("key") { 8 } }
        }
        #expect(flights.snapshot.started == 0)
    }

    @Test("C13: the operation has the correlation id of the first call and neither its deadline nor its trace")
    func context() async throws {
        let id = try #require(CorrelationID("request-7"))
        let scope = DeadlineScope(Deadline(instant: 1_000_000_000, timeSource: TimeSource(clock)))
        let values = SingleFlight<String, (CorrelationID?, Bool)>(clock: clock)
        let (seen, hasContext) = try await withCorrelationID(id) {
            try await DeadlineScope.$innermost.withValue(scope) {
                try await CallTrace.$current.withValue(CallTrace(timeSource: TimeSource(clock))) {
                    try await values.run("key") {
                        (CorrelationID.current, Deadline.current != nil || CallTrace.current != nil)
                    }
                }
            }
        }
        #expect(seen == id)
        #expect(!hasContext)
    }

    @Test("C15: an error reaches every call that joined as it is, and the next call runs again")
    func failure() async throws {
        let tasks = (0..<10).map { _ in
            Task {
                try await flights.run("key") { [gate] in
                    await gate.pass()
                    throw TestError(7)
                }
            }
        }
        await waitForWaiting(10)
        gate.open()
        for task in tasks { await #expect(throws: TestError(7)) { try await task.value } }
        #expect(try await flights.run("key") { 8 } == 8)
        #expect(flights.snapshot.started == 2)
    }

    @Test("C2: a detached operation answers the calls that joined, and later calls start a new operation")
    func detach() async throws {
        let tasks = await calls(2)
        flights.detach("key")
        #expect(try await flights.run("key") { 8 } == 8)
        gate.open()
        for task in tasks { #expect(try await task.value == 7) }
    }

    @Test("C18: an operation that waits for its own key receives an error immediately")
    func recursion() async throws {
        await #expect(throws: SingleFlightError(.recursive)) {
            try await flights.run("key") { try await flights.run("key") { 8 } }
        }
        #expect(try await flights.run("key") { try await flights.run("other") { 8 } } == 8)
    }

    @Test("C18: operations that wait for each other through two single flights receive an error immediately")
    func cycle() async throws {
        let others = SingleFlight<String, Int>(clock: clock)
        await #expect(throws: SingleFlightError(.recursive)) {
            try await flights.run("a") {
                try await others.run("b") { try await flights.run("a") { 8 } }
            }
        }
        #expect(flights.snapshot.running + others.snapshot.running == 0)
    }

    @Test("C18: two keys that wait for each other end with an error in every schedule")
    func mutualWaits() throws {
        try Simulation.run(seeds: 0..<200) { simulation in
            let flights = SingleFlight<String, Int>(clock: simulation.clock)
            for (own, other) in [("a", "b"), ("b", "a")] {
                simulation.spawn {
                    do {
                        _ = try await flights.run(own) {
                            try await simulation.clock.sleep(for: .seconds(1))
                            return try await flights.run(other) { 8 }
                        }
                    } catch is SingleFlightError {}
                }
            }
            await simulation.waitForClients()
            simulation.expect(flights.snapshot.running == 0, "every operation ended")
        }
    }

    @Test("C11, C12: under random cancellations every call that stays receives the value")
    func randomCancellations() throws {
        try Simulation.run(seeds: 0..<300) { simulation in
            let flights = SingleFlight<Int, Int>(clock: simulation.clock)
            for _ in 0..<8 {
                let isCancelled = simulation.random(in: 0...1) == 0
                let wait = simulation.random(in: 0...2)
                let call = simulation.spawn {
                    do {
                        let value = try await flights.run(0) {
                            try await simulation.clock.sleep(for: .seconds(1))
                            return 7
                        }
                        simulation.expect(value == 7, "the value of the operation")
                    } catch {
                        simulation.expect(isCancelled, "only a cancelled call fails, not with \(error)")
                    }
                }
                simulation.spawn {
                    try await simulation.clock.sleep(for: .milliseconds(500 * wait))
                    if isCancelled { call.cancel() }
                }
            }
            await simulation.waitForClients()
            simulation.expect(flights.snapshot.running == 0, "no operation runs")
        }
    }

    @Test("a waiting task of a higher priority raises the priority of the operation")
    func priority() async throws {
        let (raised, continuation) = AsyncStream.makeStream(of: TaskPriority.self)
        let first = Task(priority: .low) {
            try await flights.run("key") { [gate] in
                await withTaskPriorityEscalationHandler {
                    await gate.pass()
                } onPriorityEscalated: { _, new in
                    continuation.yield(new)
                }
                return 7
            }
        }
        await gate.waitForArrivals(1)
        let second = Task(priority: .high) { try await flights.run("key") { 8 } }
        var iterator = raised.makeAsyncIterator()
        #expect(await iterator.next() == .high)
        gate.open()
        #expect(try await first.value == 7)
        #expect(try await second.value == 7)
    }
}

internal import ReliabilityCore

/// A deterministic run of many tasks on a single thread in an order determined by a seed.
///
/// ```swift
/// try Simulation.run(seeds: 0..<1000) { simulation in
///     let bank = ScriptedDependency([.zero: .healthy(), .seconds(5): .hanging], clock: simulation.clock)
///     let breaker = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(3)), clock: simulation.clock)
///     for _ in 0..<10 { simulation.spawn { try await breaker.run { try await bank.call() } } }
///     await simulation.waitForClients()
///     try bank.history.require(.atMostConcurrent(10))
/// }
/// ```
///
/// At each step, the seed selects one of the tasks that are ready to run. A seed determines the whole schedule, so
/// every run with the same seed is the same. If no task is ready, the clock moves to the instant at which the first
/// sleeper wakes. The real time of a run depends on the number of steps, not on the simulated time. A thousand seeds
/// test a thousand interleavings.
///
/// The whole scenario must run inside the simulation:
///
/// - The scenario reads the time and sleeps only on ``clock``.
/// - The scenario draws its own random numbers only from ``random(in:)`` or ``generator()``.
/// - The scenario does not wait for work on another thread.
///
/// A detached task, an actor with its own executor (such as the main actor), an event observer that the
/// scenario waits for and a `ContinuousClock` all leave the simulation. A run fails if such work comes back to the
/// simulation.
///
/// The randomness of the library needs no setup. Inside a simulation, the seed determines the jitter of every policy
/// that has no generator of its own. The seed also determines the draws of chaos and of a ``ScriptedDependency``,
/// correlation ids and claim tokens.
///
/// ## Expectations
///
/// A failed ``expect(_:_:)`` or a thrown error, such as from `#require`, fails the run with a ``SimulationFailure``
/// that names the seed. No other seed is run. Swift Testing does not report a failed `#expect` to the simulation. The
/// simulation counts such a run as a success, does not name the seed, and runs the next seed. A trait on the test or
/// its suite changes this behavior:
///
/// ```swift
/// @Suite(.compactMapIssues(Simulation.fail(on:)))
/// struct CheckoutTests {
///     @Test func clockBeginsAtZero() throws {
///         try Simulation.run(seeds: 0..<100) { simulation in #expect(simulation.clock.now == ManualClock().now) }
///     }
/// }
/// ```
public final class Simulation: Sendable {
    @TaskLocal private static var current: Simulation?

    private struct Client {
        let name: String
        var cancel: @Sendable () -> Void = {}
        var wait: @Sendable () async -> Void = {}
        var hasEnded = false
    }

    private struct State {
        var generator: SeededGenerator
        var clients: [Client] = []
        var result: Result<Void, any Error>?
        var violation: String?
        var steps = 0
        var cancellations: [(step: Int, cancel: @Sendable () -> Void)] = []
        var trace: [String] = []
    }

    /// The seed of the run.
    public let seed: UInt64

    /// The run's clock.
    ///
    /// The simulation moves the clock. The scenario only reads the clock and sleeps on the clock.
    public let clock: ManualClock

    private let executor: SimulatedExecutor
    /// The source of the library's randomness.
    ///
    /// The schedule has a separate generator, so draws of the library do not change the schedule's draws.
    private let chance: RandomSource
    private let isTracing: Bool
    private let state: Lock<State>

    private init(seed: UInt64, isTracing: Bool) {
        self.seed = seed
        self.isTracing = isTracing
        executor = SimulatedExecutor(isTracing: isTracing)
        clock = ManualClock(taskExecutor: executor)
        chance = RandomSource(SeededGenerator(seed: ~seed))
        state = Lock(State(generator: SeededGenerator(seed: seed)))
    }

    // MARK: Running

    /// Runs a scenario once for each seed and stops at the first failure.
    ///
    /// - Parameters:
    ///   - seeds: The seeds.
    ///   - maxSteps: The maximum number of steps in a run. A step is a job of a task or a move of the clock. Defaults
    ///     to 100,000.
    ///   - scenario: The scenario. The scenario and its tasks run inside the simulation.
    /// - Throws: ``SimulationFailure`` with the failing seed and the call that runs this seed alone.
    public static func run(
        seeds: Range<UInt64>,
        maxSteps: Int = 100_000,
        _ scenario: @escaping @Sendable (Simulation) async throws -> Void
    ) throws(SimulationFailure) {
        for seed in seeds {
            try Simulation(seed: seed, isTracing: false).run(maxSteps: maxSteps, scenario)
        }
    }

    /// Runs a scenario with a single seed and records a trace.
    ///
    /// ```swift
    /// let trace = try Simulation.run(seed: 4711) { simulation in
    ///     for name in ["a", "b"] { simulation.spawn { simulation.record(name) } }
    ///     await simulation.waitForClients()
    /// }
    /// print(trace.joined(separator: "\n"))
    /// ```
    ///
    /// - Parameters:
    ///   - seed: The seed.
    ///   - maxSteps: The maximum number of steps in the run. A step is a job of a task or a move of the clock.
    ///     Defaults to 100,000.
    ///   - scenario: The scenario. The scenario and its tasks run inside the simulation.
    /// - Returns: The trace with a line for each step and each ``record(_:)``. The same seed gives the same trace.
    /// - Throws: ``SimulationFailure`` with the trace.
    @discardableResult
    public static func run(
        seed: UInt64,
        maxSteps: Int = 100_000,
        _ scenario: @escaping @Sendable (Simulation) async throws -> Void
    ) throws(SimulationFailure) -> [String] {
        let simulation = Simulation(seed: seed, isTracing: true)
        try simulation.run(maxSteps: maxSteps, scenario)
        return simulation.state.withLock { $0.trace }
    }

    private func run(
        maxSteps: Int,
        _ scenario: @escaping @Sendable (Simulation) async throws -> Void
    ) throws(SimulationFailure) {
        // The clock's timers run outside of any task: bind the task-local values for them, too.
        let reason = Self.$current.withValue(self) {
            AmbientGenerator.$simulated.withValue(chance) { reasonOfFailure(maxSteps: maxSteps, scenario) }
        }
        if let reason { throw SimulationFailure(seed: seed, reason: reason, trace: state.withLock { $0.trace }) }
    }

    private func reasonOfFailure(
        maxSteps: Int,
        _ scenario: @escaping @Sendable (Simulation) async throws -> Void
    ) -> SimulationFailure.Reason? {
        let root = Task(executorPreference: executor) {
            do {
                try await scenario(self)
                self.state.withLock { $0.result = .success(()) }
            } catch {
                self.state.withLock { $0.result = .failure(error) }
                for client in self.clients { client.cancel() }
            }
        }
        let isIdle = drive(until: maxSteps)
        let reason = reasonOfFailure(isIdle: isIdle)
        if reason != nil {
            // Cancel the tasks that wait forever, so that a failed run leaves as few tasks as possible.
            root.cancel()
            for client in clients { client.cancel() }
            state.withLock { $0.steps = 0 }
            _ = drive(until: maxSteps)
        }
        return reason
    }

    private func reasonOfFailure(isIdle: Bool) -> SimulationFailure.Reason? {
        if executor.didEscape { return .escaped }
        let (result, violation) = state.withLock { ($0.result, $0.violation) }
        if let violation { return .violated(violation) }
        if case .failure(let error) = result { return .threw(error) }
        if !isIdle { return .maxSteps }
        let waiting = (result == nil ? ["the scenario"] : []) + clients.filter { !$0.hasEnded }.map(\.name)
        return waiting.isEmpty ? nil : .deadlock(waiting: waiting)
    }

    /// Runs steps until no task is ready and no task sleeps, or until the step limit.
    ///
    /// - Returns: `true` if the simulation is idle, or `false` at the step limit.
    private func drive(until limit: Int) -> Bool {
        while true {
            guard beginStep(limit) else { return false }
            if let (task, count) = executor.runOne({ count in random(in: 0...(count - 1)) }) {
                if isTracing { append("task \(task), one of \(count)") }
            } else if let wait = clock.timeToNextEnd {
                clock.advance(by: wait)
                if isTracing { append("the clock moves by \(wait)") }
            } else if let cancel = nextCancellation() {
                // No other step is left, so the step of this cancellation would never come.
                cancel()
            } else {
                return true
            }
        }
    }

    /// Counts a step and makes the cancellations that are due before the step.
    ///
    /// - Returns: `false` at the step limit.
    private func beginStep(_ limit: Int) -> Bool {
        let due = state.withLock { state -> [@Sendable () -> Void]? in
            if state.steps >= limit { return nil }
            state.steps += 1
            if state.cancellations.isEmpty { return [] }
            let now = state.steps
            let due = state.cancellations.filter { $0.step <= now }.map(\.cancel)
            state.cancellations.removeAll { $0.step <= now }
            return due
        }
        guard let due else { return false }
        for cancel in due { cancel() }
        return true
    }

    /// Removes and returns the first cancellation that is not due yet.
    private func nextCancellation() -> (@Sendable () -> Void)? {
        state.withLock { state in
            let first = state.cancellations.indices.min { state.cancellations[$0].step < state.cancellations[$1].step }
            return first.map { state.cancellations.remove(at: $0).cancel }
        }
    }

    private func append(_ line: String) {
        let time = ManualClock.Instant(nanoseconds: 0).duration(to: clock.now)
        state.withLock { $0.trace.append("\($0.steps) at \(time): \(line)") }
    }

    // MARK: Scenario

    /// Starts a task inside the simulation.
    ///
    /// The run lasts until the task has ended. An error of the task does not fail the run. To receive the error, await
    /// the task's value.
    ///
    /// - Parameters:
    ///   - name: The name of the task in a failure. Defaults to the number of the task.
    ///   - operation: The work.
    /// - Returns: The task.
    @discardableResult
    public func spawn<Success: Sendable>(
        _ name: String? = nil,
        _ operation: @escaping @Sendable () async throws -> Success
    ) -> Task<Success, any Error> {
        let index = state.withLock { state in
            state.clients.append(Client(name: name ?? "client \(state.clients.count)"))
            return state.clients.count - 1
        }
        let task = Task(executorPreference: executor) {
            defer { self.state.withLock { $0.clients[index].hasEnded = true } }
            return try await operation()
        }
        state.withLock { state in
            state.clients[index].cancel = { task.cancel() }
            state.clients[index].wait = { _ = await task.result }
        }
        return task
    }

    private var clients: [Client] { state.withLock { $0.clients } }

    /// Waits for the end of every spawned task, including tasks spawned during the wait.
    public func waitForClients() async {
        var next = 0
        while let client = state.withLock({ $0.clients.dropFirst(next).first }) {
            await client.wait()
            next += 1
        }
    }

    /// Cancels a task at a step drawn from the seed.
    ///
    /// At this step, the task may run, wait or have ended.
    ///
    /// - Parameters:
    ///   - task: The task.
    ///   - steps: The maximum number of steps until the cancellation, from 1 to 1,000,000. A value outside of this
    ///     range is clamped. Fewer steps pass if nothing else is left to run. Defaults to 200.
    public func cancelSometime<Success, Failure: Error>(_ task: Task<Success, Failure>, within steps: Int = 200) {
        let wait = random(in: 1...max(1, min(steps, 1_000_000)))
        state.withLock { $0.cancellations.append(($0.steps + wait, { task.cancel() })) }
    }

    /// Returns a random number determined by the seed.
    ///
    /// - Parameter range: The range of the number.
    /// - Returns: A number in the range.
    public func random(in range: ClosedRange<Int>) -> Int {
        state.withLock { Int.random(in: range, using: &$0.generator) }
    }

    /// Returns a new generator determined by the seed.
    ///
    /// Each call returns a different generator.
    ///
    /// A policy of the library needs no generator, because policies draw from the simulation.
    ///
    /// - Returns: A generator for the `randomness` parameter of a policy.
    public func generator() -> SeededGenerator {
        SeededGenerator(seed: state.withLock { $0.generator.next() })
    }

    /// Makes the run fail if a condition is false.
    ///
    /// The run continues. The failure reports the first condition that was false.
    ///
    /// - Parameters:
    ///   - condition: The condition.
    ///   - message: The problem if the condition is false.
    public func expect(_ condition: Bool, _ message: @autoclosure () -> String) {
        if condition { return }
        let message = message()
        record(message)
        state.withLock { if $0.violation == nil { $0.violation = message } }
    }

    /// Makes the current run fail because of an issue.
    ///
    /// Pass this method to the `compactMapIssues` trait of a test or suite of Swift Testing. With XCTest, call this
    /// method from an override of `record(_:)`.
    ///
    /// - Parameter issue: The issue recorded by a task of the run.
    /// - Returns: The issue.
    @Sendable
    public static func fail<Issue>(on issue: Issue) -> Issue {
        current?.expect(false, "\(issue)")
        return issue
    }

    /// Adds a line to the trace of a run with a single seed.
    ///
    /// - Parameter line: The line.
    public func record(_ line: @autoclosure () -> String) {
        if isTracing { append(line()) }
    }
}

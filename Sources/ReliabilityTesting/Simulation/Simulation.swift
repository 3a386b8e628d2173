internal import ReliabilityCore

/// Many tasks on one thread, in an order that a seed determines, on a clock that moves when nothing else can.
///
/// ```swift
/// try Simulation.run(seeds: 0..<1000) { simulation in
///     let bank = ScriptedDependency([.zero: .healthy(), .seconds(5): .hanging], clock: simulation.clock)
///     let breaker = Breaker(BreakerConfiguration(trip: .consecutiveFailures(3)), clock: simulation.clock)
///     for _ in 0..<10 { simulation.spawn { try await breaker.run { try await bank.call() } } }
///     await simulation.waitForClients()
///     try bank.history.require(.atMostConcurrent(10))
/// }
/// ```
///
/// Each time a task could go on, the seed chooses which of those that could does: one seed is one schedule, and the same
/// one each time. When none can, the clock moves to the instant at which the first sleeper wakes. A run therefore takes
/// no longer than its steps do, whatever time passes in it, and a thousand of them look at a thousand interleavings.
///
/// Everything of the scenario must happen inside: its clock is ``clock``, its own chance is ``random(in:)`` or
/// ``generator()``, and it takes no part in work on another thread. A detached task, an actor with an executor of its own
/// (the main actor), an event observer that the scenario waits for, and a `ContinuousClock` all leave the simulation; a
/// run that one of them comes back to fails.
///
/// The chance of the library needs nothing: inside a simulation, the jitter of every policy that was not given a
/// generator, the draws of chaos and of a ``ScriptedDependency``, correlation ids and the tokens of claims come from the
/// seed.
///
/// ## Expectations
///
/// ``expect(_:_:)`` and whatever throws, such as `#require`, end the run with a ``SimulationFailure`` that names the
/// seed, and no other seed is run. Swift Testing tells nobody about a failed `#expect`, so the simulation takes such a
/// run for a success: it names no seed, and the seeds behind it are run, too. A trait on the test or its suite changes
/// that:
///
/// ```swift
/// @Suite(.compactMapIssues(Simulation.fail(on:)))
/// struct CheckoutTests { … }
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
    /// It moves by itself: the scenario only reads it and sleeps on it.
    public let clock: ManualClock

    private let executor: SimulatedExecutor
    /// What the library draws from; the schedule has a generator of its own, which this does not disturb.
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

    /// Runs a scenario once for each seed, and stops at the first that fails.
    ///
    /// - Parameters:
    ///   - seeds: The seeds.
    ///   - stepLimit: How many steps a run may take; a step is a job of a task or a move of the clock.
    ///   - scenario: What happens. It runs inside the simulation, as the tasks do that it spawns.
    /// - Throws: ``SimulationFailure``, which names the seed and says how to run it alone.
    public static func run(
        seeds: Range<UInt64>,
        stepLimit: Int = 100_000,
        _ scenario: @escaping @Sendable (Simulation) async throws -> Void
    ) throws(SimulationFailure) {
        for seed in seeds {
            try Simulation(seed: seed, isTracing: false).run(stepLimit: stepLimit, scenario)
        }
    }

    /// Runs a scenario once, and writes down what was chosen.
    ///
    /// ```swift
    /// let trace = try Simulation.run(seed: 4711) { simulation in … }
    /// ```
    ///
    /// - Parameters:
    ///   - seed: The seed.
    ///   - stepLimit: How many steps the run may take; a step is a job of a task or a move of the clock.
    ///   - scenario: What happens. It runs inside the simulation, as the tasks do that it spawns.
    /// - Returns: What was chosen, a line for each step and each ``note(_:)``: the same for the same seed.
    /// - Throws: ``SimulationFailure``, with the last lines of the trace.
    @discardableResult
    public static func run(
        seed: UInt64,
        stepLimit: Int = 100_000,
        _ scenario: @escaping @Sendable (Simulation) async throws -> Void
    ) throws(SimulationFailure) -> [String] {
        let simulation = Simulation(seed: seed, isTracing: true)
        try simulation.run(stepLimit: stepLimit, scenario)
        return simulation.state.withLock { $0.trace }
    }

    private func run(
        stepLimit: Int,
        _ scenario: @escaping @Sendable (Simulation) async throws -> Void
    ) throws(SimulationFailure) {
        // What the clock's timers run has no task: it is to find the simulation, too.
        let reason = Self.$current.withValue(self) {
            AmbientGenerator.$simulated.withValue(chance) { reasonOfFailure(stepLimit: stepLimit, scenario) }
        }
        if let reason { throw SimulationFailure(seed: seed, reason: reason, trace: state.withLock { $0.trace }) }
    }

    private func reasonOfFailure(
        stepLimit: Int,
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
        let isIdle = drive(until: stepLimit)
        let reason = reasonOfFailure(isIdle: isIdle)
        if reason != nil {
            // Whoever waits for ever is told to go, so that a failed run leaves as little behind as it can.
            root.cancel()
            for client in clients { client.cancel() }
            state.withLock { $0.steps = 0 }
            _ = drive(until: stepLimit)
        }
        return reason
    }

    private func reasonOfFailure(isIdle: Bool) -> SimulationFailure.Reason? {
        if executor.didEscape { return .escaped }
        let (result, violation) = state.withLock { ($0.result, $0.violation) }
        if let violation { return .violated(violation) }
        if case .failure(let error) = result { return .threw(error) }
        if !isIdle { return .stepLimit }
        let waiting = (result == nil ? ["the scenario"] : []) + clients.filter { !$0.hasEnded }.map(\.name)
        return waiting.isEmpty ? nil : .deadlock(waiting: waiting)
    }

    /// Runs steps until nothing is ready and nobody sleeps, or the number of steps is reached; says whether it is idle.
    private func drive(until limit: Int) -> Bool {
        while true {
            guard beginStep(limit) else { return false }
            if let (task, count) = executor.runOne({ count in random(in: 0...(count - 1)) }) {
                if isTracing { append("task \(task), one of \(count)") }
            } else if let wait = clock.timeToNextEnd {
                clock.advance(by: wait)
                if isTracing { append("the clock moves by \(wait)") }
            } else if let cancel = nextCancellation() {
                // Its step would never come.
                cancel()
            } else {
                return true
            }
        }
    }

    /// Counts a step and makes the cancellations that are due before it.
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

    /// The first cancellation that is not due yet; it has been removed.
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

    // MARK: What a scenario does

    /// Starts a task of the simulation.
    ///
    /// The run lasts until it has ended. What it throws is its own affair: await the value of the task to have it.
    ///
    /// - Parameters:
    ///   - name: Its name in a failure; its number by default.
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

    /// Waits for the end of every task that was spawned, those included that are spawned meanwhile.
    public func waitForClients() async {
        var next = 0
        while let client = state.withLock({ $0.clients.dropFirst(next).first }) {
            await client.wait()
            next += 1
        }
    }

    /// Cancels a task at a step that the seed draws, be it running, waiting or ended by then.
    ///
    /// - Parameters:
    ///   - task: The task.
    ///   - steps: How many steps may pass until then; fewer when nothing else is left to happen.
    public func cancelSometime<Success, Failure: Error>(_ task: Task<Success, Failure>, within steps: Int = 200) {
        let wait = random(in: 1...max(1, min(steps, 1_000_000)))
        state.withLock { $0.cancellations.append(($0.steps + wait, { task.cancel() })) }
    }

    /// A number that the seed draws.
    ///
    /// - Parameter range: The numbers to draw from.
    /// - Returns: One of them.
    public func random(in range: ClosedRange<Int>) -> Int {
        state.withLock { Int.random(in: range, using: &$0.generator) }
    }

    /// A generator that the seed determines; each call makes another one.
    ///
    /// A policy of the library needs none: it draws from the simulation by itself.
    ///
    /// - Returns: What a policy takes as its `randomness`.
    public func generator() -> SeededGenerator {
        SeededGenerator(seed: state.withLock { $0.generator.next() })
    }

    /// Makes the run fail when something does not hold; the run goes on, and the first thing that did not hold is reported.
    ///
    /// - Parameters:
    ///   - condition: What must hold.
    ///   - message: What is wrong when it does not.
    public func expect(_ condition: Bool, _ message: @autoclosure () -> String) {
        if condition { return }
        let message = message()
        note(message)
        state.withLock { if $0.violation == nil { $0.violation = message } }
    }

    /// Makes the run fail whose task records an issue.
    ///
    /// It goes into the `compactMapIssues` trait of a test or suite of Swift Testing. With XCTest, call it from an
    /// override of `record(_:)`.
    ///
    /// - Parameter issue: The issue.
    /// - Returns: The issue.
    @Sendable
    public static func fail<Issue>(on issue: Issue) -> Issue {
        current?.expect(false, "\(issue)")
        return issue
    }

    /// Writes a line into the trace of a run with one seed.
    ///
    /// - Parameter line: The line.
    public func note(_ line: @autoclosure () -> String) {
        if isTracing { append(line()) }
    }
}

import Bulkhead
import CircuitBreaker
import Dedup
import Outbox
import RateLimiter
import Reliability
import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Retry
import Synchronization
import Timeout

/// A run of a nesting in a simulation: the shared instances, the ground truth and the violated laws.
final class NestingRun: @unchecked Sendable {
    // @unchecked Sendable: used on the simulation's one thread only.

    let simulation: Simulation
    let nesting: Nesting
    let clock: ManualClock
    private let timeSource: TimeSource
    let beginning: ManualClock.Instant
    private var number = 0
    private var lastValue = 0
    private(set) var violations: [Violation] = []

    /// Every run of a layer, in the order of their beginnings.
    private(set) var runs: [Run] = []
    /// The beginning of the final calls, which are made while the dependency is healthy.
    var finalCallsBegin: Moment?
    /// The intervals in which the whole process was stalled.
    private(set) var stalls: [ClosedRange<Int64>] = []
    /// The values that abandoned operations returned late.
    var lateValues: [(run: Run, value: Int)] = []
    /// The values that were disposed of.
    var disposedValues: [(run: Run, value: Int)] = []

    let breakers: [Breaker]
    let bulkheads: [BulkheadPolicy]
    let abandonedOperations = AbandonedOperations(maxCount: 1000)
    private(set) lazy var store = makeStore()
    private(set) lazy var limiters = nesting.limits.enumerated().map { number, limit in
        Limiter(
            .gcra(limit.count, per: limit.period),
            keyspace: Keyspace("limit \(number)"),
            store: store,
            storeFailure: .failClosed(),
            clock: clock
        ).policy(for: ["key"])
    }
    private(set) lazy var deduplicator = Deduplicator(
        .replay(retention: nil),
        keyspace: "dedup",
        store: store,
        storeFailure: .failClosed(),
        clock: clock
    )
    private(set) var external: ExternalCall?
    private(set) var outboxService: OutboxService?

    init(_ nesting: Nesting, _ simulation: Simulation) {
        self.nesting = nesting
        self.simulation = simulation
        let clock = simulation.clock
        self.clock = clock
        timeSource = TimeSource(clock)
        beginning = clock.now
        breakers = nesting.breakers.map {
            Breaker($0.configuration, clock: clock)
        }
        bulkheads = nesting.bulkheads.map {
            BulkheadPolicy(.limit($0.places, maxWaiting: $0.waiting, maxWait: $0.wait), clock: clock)
        }
    }

    var now: Int64 { clock.reading }
    /// The last instant at which the whole process was stalled.
    var stalledUntil: Int64 { stalls.last?.upperBound ?? .min }
    var executor: (any TaskExecutor)? { clock.taskExecutor }
    var isHealthy: Bool { now >= Int64(nesting.wellFrom / .nanoseconds(1)) }

    /// The next point in the order of events.
    func moment() -> Moment {
        number += 1
        return Moment(time: now, number: number)
    }

    func expect(_ condition: Bool, _ law: Law, _ behavior: @autoclosure () -> String) {
        if !condition, violations.count < 10 { violations.append(Violation(law: law, behavior: behavior())) }
    }

    // MARK: Shared instances

    private func makeStore() -> any RecordStore {
        let memory = InMemoryStore(clock: clock)
        guard let outage = nesting.outage else { return memory }
        if outage.kind == .stalls {
            let from = Int64(outage.from / .nanoseconds(1))
            let to = Int64(outage.to / .nanoseconds(1))
            return StallingStore(memory, timeSource, stall: from..<to)
        }
        let (clock, start) = (clock, beginning)
        return FaultInjectingStore(memory, clock: clock) { _ in
            let time = start.duration(to: clock.now)
            return time >= outage.from && time < outage.to ? outage.fault : nil
        }
    }

    func externalCall() -> ExternalCall {
        if let external { return external }
        var configuration = ExternalCall.Configuration.externalAPI(.idempotent)
        configuration.totalTimeout = NestingRun.externalLimit
        configuration.attemptTimeout = NestingRun.externalAttemptLimit
        configuration.breaker.tripCondition = .consecutiveFailures(2)
        let new = ExternalCall("external", configuration, clock: clock, randomness: SeededGenerator(seed: nesting.seed))
        external = new
        return new
    }

    func outbox() -> OutboxService {
        if let outboxService { return outboxService }
        let new = OutboxService(self)
        outboxService = new
        return new
    }

    static let externalLimit = Duration.milliseconds(500)
    static let externalAttemptLimit = Duration.milliseconds(100)

    // MARK: Calls

    /// Makes a call from its outermost layer on.
    func make(_ call: Call, from index: Int = 0, in outer: Attempt) async throws -> Int {
        guard index < call.layers.count else { return try await operate(call.steps, in: outer) }
        return try await enter(call.layers[index], in: outer) { attempt in
            try await self.make(call, from: index + 1, in: attempt)
        }
    }

    /// Runs one layer, and judges its end.
    func enter(
        _ layer: Layer,
        in outer: Attempt,
        _ inside: @escaping @Sendable (Attempt) async throws -> Int
    ) async throws -> Int {
        let run = begin(layer, in: outer)
        do {
            let value = try await perform(run, inside)
            end(run, .returned(value))
            return value
        } catch {
            end(run, .threw(error))
            throw error
        }
    }

    func begin(_ layer: Layer, in outer: Attempt) -> Run {
        let run = Run(layer, in: outer, at: moment(), limit: layer.limit)
        runs.append(run)
        return run
    }

    func end(_ run: Run, _ how: End) {
        run.end = (moment(), how)
        judge(run, how)
    }

    /// Runs the inside of a layer once.
    func attempt(_ run: Run, _ inside: (Attempt) async throws -> Int) async throws -> Int {
        let attempt = begin(run)
        do {
            let value = try await inside(attempt)
            end(attempt, .returned(value))
            return value
        } catch {
            end(attempt, .threw(error))
            throw error
        }
    }

    func begin(_ run: Run) -> Attempt {
        let limit: Duration? = if case .external = run.layer { NestingRun.externalAttemptLimit } else { nil }
        let attempt = Attempt(of: run, number: run.attempts.count + 1, at: moment(), limit: limit)
        judgeBeginning(of: attempt, in: run)
        run.attempts.append(attempt)
        return attempt
    }

    func end(_ attempt: Attempt, _ how: End) {
        let moment = moment()
        attempt.end = (moment, how)
        if case .returned = how, let run = attempt.run, run.won == nil { run.won = moment }
    }

    // MARK: Operations

    private func operate(_ steps: [Step], in attempt: Attempt) async throws -> Int {
        attempt.beginOperation()
        for step in steps { try await perform(step, in: attempt) }
        lastValue += 1
        return lastValue
    }

    private func perform(_ step: Step, in attempt: Attempt) async throws {
        switch step {
        case .wait(let time):
            try await clock.sleep(for: latency(time))
        case .waitOrStop(let time):
            try? await clock.sleep(for: latency(time))
        case .block(let time):
            await block(for: latency(time))
            attempt.cannotBeInterrupted(until: now)
        case .hang:
            try await clock.sleep(for: latency(NestingRun.maxWait * 2))
            if !isHealthy { throw Failure.plain.error(moment().number) }
        case .send:
            attempt.send(at: moment())
        case .fail(let failure):
            if !isHealthy { throw failure.error(moment().number) }
        case .call(let call):
            _ = try await make(call, in: attempt)
        case .attempt(let call):
            do { _ = try await make(call, in: attempt) } catch {}
        case .spawn(let wait, let call):
            spawn(after: wait, call, startedIn: attempt)
        case .stall(let time):
            if isHealthy { return }
            let start = now
            clock.stall(for: time)
            stalls.append(start...now)
        }
    }

    /// The longest wait of a caller for a call without a limit.
    static let maxWait = Duration.seconds(250)

    func latency(_ time: Duration) -> Duration { isHealthy ? min(time, .milliseconds(1)) : time }

    private func block(for time: Duration) async {
        let instant = timeSource.instant(after: time)
        await withCheckedContinuation { continuation in
            _ = timeSource.timer(at: instant) { continuation.resume() }
        }
    }

    private func spawn(after wait: Duration, _ call: Call, startedIn attempt: Attempt) {
        let origin = Origin("a task left behind", starter: attempt)
        let start = clock.now.advanced(by: latency(wait))
        launch(call, at: start, until: start.advanced(by: NestingRun.maxWait), origin) {
            self.judgeDeadline(in: origin)
        }
    }
}

extension Layer {
    /// The layer's limit, or `nil` if it has none.
    var limit: Duration? {
        switch self {
        case .timeout(let limit), .timeoutOrDefault(let limit), .movedTimeout(let limit, _, _),
            .abandoning(let limit, _):
            limit
        case .external: NestingRun.externalLimit
        default: nil
        }
    }
}

extension BreakerShape {
    /// A count above the calls of any nesting.
    static let never = 300

    var configuration: Breaker.Configuration {
        let (never, long) = (BreakerShape.never, Duration.seconds(1_000_000))
        return switch self {
        case .trips(let count, let openDuration, let probes):
            Breaker.Configuration(
                tripCondition: .consecutiveFailures(count),
                openDuration: openDuration,
                probes: probes
            )
        case .countsFailures: Breaker.Configuration(tripCondition: .failures(never, within: long))
        case .countsCalls:
            Breaker.Configuration(tripCondition: .failureRate(0.000_001, minCalls: never, within: long))
        }
    }
}

extension Outage {
    fileprivate var fault: StoreFault {
        switch kind {
        case .rejects: .failBefore
        case .loses: .unknownOutcomeAfterApply
        case .hangs, .stalls: .hang
        }
    }
}

internal import ReliabilityCore

/// A dependency that does what a script says: it is well, slow, failing, hanging or gone, and well again.
///
/// ```swift
/// let clock = ManualClock()
/// let bank = ScriptedDependency(
///     [
///         .zero: .healthy(latency: .milliseconds(20)...(.milliseconds(80)), errorRate: 0.01),
///         .seconds(10): .hanging,
///         .seconds(40): .healthy(),
///     ],
///     clock: clock
/// )
/// let receipt = try await bank.call { "receipt" }
/// ```
///
/// The phase in which a call arrives decides its answer, whenever that comes. What happened to every call is in
/// ``history``.
public final class ScriptedDependency: Sendable {
    private struct State {
        var generator: SeededGenerator
        var calls: [DependencyCall] = []
        var inFlight = 0
        var latestArrival: Int64 = 0
    }

    /// What the dependency does with one call.
    private struct Plan {
        let index: Int
        let latency: Duration?
        let outcome: DependencyCall.Outcome
    }

    private let phases: [(from: Int64, behavior: DependencyBehavior)]
    private let honoursCancellation: Bool
    private let timeSource: TimeSource
    private let start: Int64
    private let state: Lock<State>

    /// Creates a dependency whose script begins now.
    ///
    /// - Parameters:
    ///   - script: From when on it behaves how, counted from now.
    ///   - honoursCancellation: Whether a call ends at once when its task is cancelled. One that does not ends when the
    ///     dependency has answered.
    ///   - clock: Measures the time.
    ///   - seed: Decides latencies and errors. Defaults to a number that the simulation draws in which the dependency is
    ///     created, or to zero outside of one.
    /// - Precondition: The script's first phase begins at zero, and each other later than the one before.
    public init(
        _ script: KeyValuePairs<Duration, DependencyBehavior> = [.zero: .healthy()],
        honoursCancellation: Bool = true,
        clock: some Clock<Duration>,
        seed: UInt64? = nil
    ) {
        let starts = script.map(\.key)
        requireValid(starts.first == .zero, "a script begins at zero (begins at \(String(describing: starts.first)))")
        for (previous, next) in zip(starts, starts.dropFirst()) {
            requireValid(previous < next, "a phase begins after the one before (\(next) is not after \(previous))")
        }
        phases = script.map { ($0.key.saturatingNanoseconds, $0.value) }
        self.honoursCancellation = honoursCancellation
        timeSource = TimeSource(clock)
        start = timeSource.now
        state = Lock(State(generator: SeededGenerator(seed: seed ?? AmbientGenerator.simulated?.next() ?? 0)))
    }

    /// What happened so far.
    public var history: CallHistory { CallHistory(state.withLock { $0.calls }) }

    /// How many calls are under way.
    public var inFlight: Int { state.withLock { $0.inFlight } }

    /// Makes a call.
    ///
    /// - Parameter caller: Who makes it, for the rules that hold for each caller.
    /// - Throws: ``DependencyError``, or `CancellationError` when the task was cancelled.
    public func call(from caller: String = "") async throws { try await call(from: caller) { () } }

    /// Makes a call that returns a value.
    ///
    /// - Parameters:
    ///   - caller: Who makes it, for the rules that hold for each caller.
    ///   - value: Makes the value of a call that succeeds.
    /// - Returns: The value.
    /// - Throws: ``DependencyError``, or `CancellationError` when the task was cancelled; and what `value` throws.
    public func call<Success>(from caller: String = "", _ value: () throws -> Success) async throws -> Success {
        let plan = begin(caller)
        do { try await wait(plan.latency) } catch {
            end(plan.index, .cancelled)
            throw error
        }
        end(plan.index, plan.outcome)
        switch plan.outcome {
        case .succeeded: return try value()
        case .failed: throw DependencyError(.failed)
        case .refused: throw DependencyError(.refused)
        case .throttled(let retryAfter): throw DependencyError(.throttled(retryAfter: retryAfter))
        case .disconnected: throw DependencyError(.disconnected)
        case .cancelled: throw CancellationError()
        }
    }

    private var now: Int64 { timeSource.now.saturatingSubtract(start) }

    private func begin(_ caller: String) -> Plan {
        let reading = now
        return state.withLock { state in
            // Who looked at the clock first need not come here first, and the history is in the order of arrival.
            let now = max(reading, state.latestArrival)
            state.latestArrival = now
            let phase = phases.lastIndex { $0.from <= now } ?? 0
            let index = state.calls.count
            state.inFlight += 1
            state.calls.append(
                DependencyCall(
                    index: index,
                    caller: caller,
                    phase: phase,
                    concurrency: state.inFlight,
                    arrival: .nanoseconds(now)
                )
            )
            let behavior = phases[phase].behavior
            switch behavior.answer {
            case .value, .failure:
                let fails =
                    behavior.answer == .failure
                    || Double.random(in: 0..<1, using: &state.generator) < behavior.errorRate
                let latency = Self.latency(behavior, inFlight: state.inFlight, &state.generator)
                return Plan(index: index, latency: latency, outcome: fails ? .failed : .succeeded)
            case .refusal:
                return Plan(index: index, latency: .zero, outcome: .refused)
            case .throttle(let retryAfter):
                return Plan(index: index, latency: .zero, outcome: .throttled(retryAfter: retryAfter))
            case .none:
                let next = phases.dropFirst(phase + 1).first
                let latency = next.map { Duration.nanoseconds($0.from.saturatingSubtract(now)) }
                return Plan(index: index, latency: latency, outcome: .disconnected)
            }
        }
    }

    private static func latency(
        _ behavior: DependencyBehavior,
        inFlight: Int,
        _ generator: inout SeededGenerator
    ) -> Duration {
        let range = behavior.latency
        let nanoseconds = Int64.random(
            in: range.lowerBound.saturatingNanoseconds...range.upperBound.saturatingNanoseconds,
            using: &generator
        )
        guard let capacity = behavior.capacity, inFlight > capacity else { return .nanoseconds(nanoseconds) }
        return .nanoseconds(nanoseconds.saturatingMultiply(Int64(inFlight)) / Int64(capacity))
    }

    private func end(_ index: Int, _ outcome: DependencyCall.Outcome) {
        let now = now
        state.withLock { state in
            state.inFlight -= 1
            state.calls[index].end = .nanoseconds(now)
            state.calls[index].outcome = outcome
        }
    }

    /// Waits, for ever without a latency.
    private func wait(_ latency: Duration?) async throws {
        if honoursCancellation {
            guard let latency else {
                await untilCancelled()
                throw CancellationError()
            }
            try await timeSource.sleep(for: latency)
        } else if latency != .zero {
            // A timer and not a sleep: nothing of the task's cancellation reaches it.
            await withCheckedContinuation { continuation in
                let instant = latency.map(timeSource.instant(after:)) ?? .max
                _ = timeSource.timer(at: instant) { continuation.resume() }
            }
        }
    }
}

internal import ReliabilityCore

/// A dependency that follows a script of phases: healthy, slow, failing, hanging or unreachable.
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
/// let call = Task { try await bank.call { "receipt" } }
/// await clock.advance(by: .milliseconds(80), whenSleeping: 1)
/// let receipt = try await call.value
/// ```
///
/// The phase in which a call arrives determines the answer, even if the answer comes in a later phase. ``history``
/// contains every call.
public final class ScriptedDependency: Sendable {
    private struct State {
        var generator: SeededGenerator
        var calls: [DependencyCall] = []
        var inFlight = 0
        var latestArrival: Int64 = 0
    }

    /// The response to a call.
    ///
    /// A `nil` latency means that the response never comes.
    private struct Response {
        let index: Int
        let latency: Duration?
        let outcome: DependencyCall.Outcome
    }

    private let phases: [(from: Int64, behavior: DependencyBehavior)]
    private let honoursCancellation: Bool
    private let timeSource: TimeSource
    private let start: Int64
    private let state: Lock<State>

    /// Creates a dependency and begins its script.
    ///
    /// - Parameters:
    ///   - script: The phases, each with its beginning measured from now. Defaults to a healthy dependency.
    ///   - honoursCancellation: If `true`, a call ends immediately when its task is cancelled. If `false`, such a call
    ///     ends with the dependency's answer. Defaults to `true`.
    ///   - clock: The clock of the script.
    ///   - seed: The seed of latencies and errors. Inside a simulation, defaults to a number drawn from the simulation.
    ///     Otherwise defaults to zero.
    /// - Precondition: The first phase begins at zero. Each other phase begins later than the phase before.
    public init(
        _ script: KeyValuePairs<Duration, DependencyBehavior> = [.zero: .healthy()],
        honoursCancellation: Bool = true,
        clock: some Clock<Duration>,
        seed: UInt64? = nil
    ) {
        let starts = script.map(\.key)
        requireValid(
            starts.first == .zero,
            "the first phase must begin at zero (is \(String(describing: starts.first)))"
        )
        for (previous, next) in zip(starts, starts.dropFirst()) {
            requireValid(previous < next, "phases must be in ascending order (\(next) is not after \(previous))")
        }
        phases = script.map { ($0.key.saturatingNanoseconds, $0.value) }
        self.honoursCancellation = honoursCancellation
        timeSource = TimeSource(clock)
        start = timeSource.now
        state = Lock(State(generator: SeededGenerator(seed: seed ?? AmbientGenerator.simulated?.next() ?? 0)))
    }

    /// The calls so far.
    public var history: CallHistory { CallHistory(state.withLock { $0.calls }) }

    /// The number of calls in progress.
    public var inFlight: Int { state.withLock { $0.inFlight } }

    /// Makes a call.
    ///
    /// - Parameter caller: The name of the caller for rules about each caller. Defaults to no name.
    /// - Throws: ``DependencyError``, or `CancellationError` if the task was cancelled.
    public func call(from caller: String = "") async throws { try await call(from: caller) { () } }

    /// Makes a call that returns a value.
    ///
    /// - Parameters:
    ///   - caller: The name of the caller for rules about each caller. Defaults to no name.
    ///   - value: Creates the value of a successful call.
    /// - Returns: The value.
    /// - Throws: ``DependencyError``, `CancellationError` if the task was cancelled, or an error of `value`.
    public func call<Success>(from caller: String = "", _ value: () throws -> Success) async throws -> Success {
        let response = begin(caller)
        do { try await wait(response.latency) } catch {
            end(response.index, .cancelled)
            throw error
        }
        end(response.index, response.outcome)
        switch response.outcome {
        case .succeeded: return try value()
        case .failed: throw DependencyError(.failed)
        case .refused: throw DependencyError(.refused)
        case .throttled(let retryAfter): throw DependencyError(.throttled(retryAfter: retryAfter))
        case .disconnected: throw DependencyError(.disconnected)
        case .cancelled: throw CancellationError()
        }
    }

    private var now: Int64 { timeSource.now.saturatingSubtract(start) }

    private func begin(_ caller: String) -> Response {
        let reading = now
        return state.withLock { state in
            // Calls may take the lock in another order than they read the clock. The history is in the order of
            // arrival.
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
                return Response(index: index, latency: latency, outcome: fails ? .failed : .succeeded)
            case .refusal:
                return Response(index: index, latency: .zero, outcome: .refused)
            case .throttle(let retryAfter):
                return Response(index: index, latency: .zero, outcome: .throttled(retryAfter: retryAfter))
            case .none:
                let next = phases.dropFirst(phase + 1).first
                let latency = next.map { Duration.nanoseconds($0.from.saturatingSubtract(now)) }
                return Response(index: index, latency: latency, outcome: .disconnected)
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

    /// Waits for the latency, or forever if the latency is `nil`.
    private func wait(_ latency: Duration?) async throws {
        if honoursCancellation {
            guard let latency else {
                await suspendUntilCancelled()
                throw CancellationError()
            }
            try await timeSource.sleep(for: latency)
        } else if latency != .zero {
            // A timer, because a sleep would end when the task is cancelled.
            await withCheckedContinuation { continuation in
                let instant = latency.map(timeSource.instant(after:)) ?? .max
                _ = timeSource.timer(at: instant) { continuation.resume() }
            }
        }
    }
}

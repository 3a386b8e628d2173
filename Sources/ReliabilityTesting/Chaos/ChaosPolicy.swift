public import ReliabilityCore

/// Does something bad to some of the calls, while its switch is on.
///
/// ```swift
/// let chaos = ChaosSwitch()
/// let payment = Pipeline {
///     RetryPolicy(.idempotent, maxAttempts: 3)
///     TimeoutPolicy(.seconds(2))
///     ChaosPolicy(.hang, rate: 0.05, when: chaos)
/// }
/// chaos.arm(for: .seconds(60))
/// ```
///
/// It goes innermost, where the dependency is: the policies around it then meet what they are there for. While the
/// switch is off, a call costs one look at it. Several faults are several policies.
public struct ChaosPolicy: CallPolicy {
    private let fault: ChaosFault
    private let draw: ChaosDraw
    private let events: EventSink<ChaosEvent>

    /// Creates a policy.
    ///
    /// - Parameters:
    ///   - fault: What it does.
    ///   - rate: To which share of the calls, from 0 to 1.
    ///   - chaos: Whether it does it.
    ///   - randomness: Chooses the calls.
    ///   - observer: Is told what was done.
    /// - Precondition: `rate` is from 0 to 1.
    public init(
        _ fault: ChaosFault,
        rate: Double,
        when chaos: ChaosSwitch,
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (ChaosEvent) -> Void)? = nil
    ) {
        self.fault = fault
        draw = ChaosDraw(rate: rate, chaos: chaos, randomness: randomness)
        events = EventSink(observer)
    }

    /// To how many calls something was done.
    public var injected: Int { draw.count.value }

    /// One layer of the kind `chaos`.
    public var layers: [PolicyLayer] {
        [
            PolicyLayer(
                .chaos,
                "while armed, picks calls at a rate of \(draw.rate) and \(fault.summary)",
                waits: fault.waits
            )
        ]
    }

    /// Runs `operation`, or does to it what the policy is for.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns.
    /// - Throws: What `operation` throws, or the fault's error; `CancellationError` when the task is cancelled while the
    ///   call is late or hangs.
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        guard let end = draw.next() else { return try await operation() }
        switch fault.kind {
        case .latency(let range):
            let delay = min(draw.duration(in: range), draw.timeLeft(until: end))
            events.emit(.delayed(delay))
            try await draw.timeSource.sleep(for: delay)
            return try await operation()
        case .failure(let error):
            events.emit(.failed(error))
            throw error
        case .lostAnswer(let error):
            _ = try await operation()
            events.emit(.lostAnswer(error))
            throw error
        case .hang:
            events.emit(.hanging)
            try await draw.timeSource.sleep(until: end)
            return try await operation()
        }
    }
}

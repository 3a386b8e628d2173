public import ReliabilityCore

/// A policy that injects a fault into a share of the calls while its switch is on.
///
/// ```swift
/// let chaos = ChaosSwitch()
/// let payment = Pipeline {
///     RetryPolicy(.idempotent(maxAttempts: 3))
///     TimeoutPolicy(.seconds(2))
///     ChaosPolicy(.hang, rate: 0.05, when: chaos)
/// }
/// chaos.arm(for: .seconds(60))
/// ```
///
/// Place the policy innermost, next to the dependency, so that the policies around the fault can handle the fault.
/// While the switch is off, a call only reads the switch. Use a separate policy for each fault.
public struct ChaosPolicy: CallPolicy {
    private let fault: ChaosFault
    private let draw: ChaosDraw
    private let events: EventSink<ChaosEvent>

    /// Creates a policy.
    ///
    /// - Parameters:
    ///   - fault: The fault.
    ///   - rate: The share of the calls that get the fault, from 0 to 1.
    ///   - chaos: The switch.
    ///   - randomness: The generator that selects the calls. Defaults to the system's generator.
    ///   - observer: Receives an event for each injected fault. Defaults to no observer.
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

    /// The number of calls with an injected fault.
    public var injected: Int { draw.count.value }

    /// A single layer of the kind `chaos`.
    public var layers: [PolicyLayer] {
        [
            PolicyLayer(
                .chaos,
                "while armed, picks calls at a rate of \(draw.rate) and \(fault.summary)",
                waits: fault.waits
            )
        ]
    }

    /// Runs the operation with the fault if the policy selects this call.
    ///
    /// - Parameter operation: The work, which keeps the caller's isolation.
    /// - Returns: The operation's value.
    /// - Throws: The operation's error or the fault's error. `CancellationError` if the task is cancelled while the
    ///   fault delays the call.
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

internal import ReliabilityCore

/// Changes a share of the results of an operation while its switch is on.
///
/// ```swift
/// let chaos = ChaosSwitch()
/// let wrong = ChaosResult<Balance>(rate: 0.01, when: chaos) { _ in Balance(0) }
/// let balance = try await wrong.run { try await bank.balance(of: account) }
/// ```
///
/// The policies of a pipeline have no access to results. Wrap the operation itself, inside the pipeline's `run`.
public struct ChaosResult<Success>: Sendable {
    private let change: @Sendable (Success) -> Success
    private let draw: ChaosDraw
    private let events: EventSink<ChaosEvent>

    /// Creates a wrapper that changes results.
    ///
    /// - Parameters:
    ///   - rate: The share of the results to change, from 0 to 1.
    ///   - chaos: The switch.
    ///   - randomness: The generator that selects the results. Defaults to the system's generator.
    ///   - observer: Receives an event for each changed result. Defaults to no observer.
    ///   - change: Returns the wrong result for a right result.
    /// - Precondition: `rate` is from 0 to 1.
    public init(
        rate: Double,
        when chaos: ChaosSwitch,
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (ChaosEvent) -> Void)? = nil,
        change: @escaping @Sendable (Success) -> Success
    ) {
        self.change = change
        draw = ChaosDraw(rate: rate, chaos: chaos, randomness: randomness)
        events = EventSink(observer)
    }

    /// The number of changed results.
    public var injected: Int { draw.count.value }

    /// Runs the operation and changes its result if the wrapper selects this call.
    ///
    /// - Parameter operation: The work, which keeps the caller's isolation.
    /// - Returns: The operation's value or the changed value.
    /// - Throws: The operation's error.
    nonisolated(nonsending) public func run(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let success = try await operation()
        guard draw.next() != nil else { return success }
        events.emit(.wrongResult)
        return change(success)
    }
}

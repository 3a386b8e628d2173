internal import ReliabilityCore

/// Changes the results of some of the calls, while its switch is on.
///
/// ```swift
/// let wrong = ChaosResult<Balance>(rate: 0.01, when: chaos) { _ in Balance(0) }
/// let balance = try await wrong.run { try await bank.balance(of: account) }
/// ```
///
/// A policy of a pipeline knows nothing about results, so this is none: put it around the operation, inside the
/// pipeline's `run`.
public struct ChaosResult<Success>: Sendable {
    private let change: @Sendable (Success) -> Success
    private let draw: ChaosDraw
    private let events: EventSink<ChaosEvent>

    /// Creates a changer of results.
    ///
    /// - Parameters:
    ///   - rate: Which share of the results it changes, from 0 to 1.
    ///   - chaos: Whether it does.
    ///   - randomness: Chooses the results.
    ///   - observer: Is told of each.
    ///   - change: Makes the wrong result from the right one.
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

    /// How many results were changed.
    public var injected: Int { draw.count.value }

    /// Runs `operation`, and perhaps returns something else than its result.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns, or what was made of it.
    /// - Throws: What `operation` throws.
    nonisolated(nonsending) public func run(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let success = try await operation()
        guard draw.next() != nil else { return success }
        events.emit(.wrongResult)
        return change(success)
    }
}

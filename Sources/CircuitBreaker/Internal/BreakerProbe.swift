internal import ReliabilityCore
internal import Synchronization

/// A probe that is under way, for the calls that it makes through the same breaker.
///
/// The task-local value is written for probes only, and read only when a breaker is not closed.
final class BreakerProbe: Sendable {
    private let breaker: Breaker
    private let generation: UInt64
    /// The probe of another breaker that this one is a part of.
    private let outer: BreakerProbe?
    /// A task that is created in the probe and outlives it inherits the task-local value, so the probe itself says when it
    /// is over.
    private let isOver = Atomic(false)

    private static var current: BreakerProbe? { ProbeScope.innermost as? BreakerProbe }

    private init(_ breaker: Breaker, _ generation: UInt64) {
        self.breaker = breaker
        self.generation = generation
        outer = Self.current
    }

    /// The generation of the breaker's probe that the current task is a part of, or `nil` if it is a part of none.
    static func generation(of breaker: Breaker) -> UInt64? {
        var probe = current
        while let candidate = probe {
            if candidate.breaker === breaker, !candidate.isOver.load(ordering: .relaxed) { return candidate.generation }
            probe = candidate.outer
        }
        return nil
    }

    /// Runs a probe of this generation.
    nonisolated(nonsending) static func run<Success>(
        _ breaker: Breaker,
        _ generation: UInt64,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async rethrows -> Success {
        let probe = BreakerProbe(breaker, generation)
        defer { probe.isOver.store(true, ordering: .relaxed) }
        return try await ProbeScope.$innermost.withValue(probe) { try await operation() }
    }
}

internal import ReliabilityCore
internal import Synchronization

/// A running probe, as a task-local value for the calls that the probe makes through the same breaker.
final class BreakerProbe: Sendable {
    private let breaker: Breaker
    private let ticket: BreakerTicket
    /// The enclosing probe of another breaker, or `nil` if there is none.
    private let outer: BreakerProbe?
    /// A Boolean value that indicates whether the probe has ended.
    ///
    /// A task that outlives the probe still inherits the task-local value.
    private let hasEnded = Atomic(false)

    // Only probes, and `withoutCallContext` with `nil`, write the task-local value. Breakers read the value only while
    // they are not closed.
    private static var current: BreakerProbe? { ProbeScope.innermost as? BreakerProbe }

    private init(_ breaker: Breaker, _ ticket: BreakerTicket) {
        self.breaker = breaker
        self.ticket = ticket
        outer = Self.current
    }

    /// Returns the ticket of the breaker's probe in the current task, or `nil` if the task is not part of a probe.
    static func currentTicket(in breaker: Breaker) -> BreakerTicket? {
        var probe = current
        while let candidate = probe {
            let isRunning = !candidate.hasEnded.load(ordering: .relaxed)
            if candidate.breaker === breaker, isRunning { return candidate.ticket }
            probe = candidate.outer
        }
        return nil
    }

    /// Runs a probe.
    nonisolated(nonsending) static func run<Success>(
        _ breaker: Breaker,
        _ ticket: BreakerTicket,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async rethrows -> Success {
        let probe = BreakerProbe(breaker, ticket)
        defer { probe.hasEnded.store(true, ordering: .relaxed) }
        return try await ProbeScope.$innermost.withValue(probe) { try await operation() }
    }
}

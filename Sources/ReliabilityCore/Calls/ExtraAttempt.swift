internal import Synchronization

/// An extra attempt of a retry or a hedge that the current task is part of.
///
/// Every attempt of a retry or a hedge after the first is an extra attempt.
///
/// Retries and hedges make a single attempt each if their calls begin inside an extra attempt within ``span`` of its
/// start. Two nested retries of at most a and b attempts therefore make at most a + b − 1 attempts together. The bound
/// does not hold for calls inside `withoutCallContext` or calls that begin later than ``span``.
///
/// An attempt can last for hours, for example to consume a connection. A call that begins more than ``span`` after the
/// start of the attempt is independent of the attempt.
package final class ExtraAttempt: Sendable {
    /// The time since the start of an extra attempt in which calls that begin inside make a single attempt.
    package static let span = Duration.seconds(60)

    @TaskLocal static var innermost: ExtraAttempt?

    // A task that outlives the attempt inherits the task-local value. The attempt itself therefore records its end.
    private let isOver = Atomic(false)
    private let timeSource: TimeSource
    private let start: Int64

    private init(_ timeSource: TimeSource) {
        self.timeSource = timeSource
        start = timeSource.now
    }

    /// Returns whether a call of the current task must make a single attempt.
    ///
    /// - Parameter running: The time since the call began in nanoseconds. Defaults to 0.
    /// - Returns: `true` if the call must make a single attempt.
    package static func suppressesCall(running: Int64 = 0) -> Bool {
        guard let attempt = innermost, !attempt.isOver.load(ordering: .relaxed) else { return false }
        let age = attempt.timeSource.now.saturatingSubtract(attempt.start)
        return age.saturatingSubtract(max(0, running)) <= span.saturatingNanoseconds
    }

    /// Runs an extra attempt of a policy.
    ///
    /// - Parameters:
    ///   - timeSource: The clock of the policy.
    ///   - body: The attempt.
    /// - Returns: The value of the attempt.
    nonisolated(nonsending) package static func run<Success>(
        _ timeSource: TimeSource,
        _ body: nonisolated(nonsending) () async throws -> Success
    ) async rethrows -> Success {
        let attempt = ExtraAttempt(timeSource)
        defer { attempt.isOver.store(true, ordering: .relaxed) }
        return try await $innermost.withValue(attempt) { try await body() }
    }
}

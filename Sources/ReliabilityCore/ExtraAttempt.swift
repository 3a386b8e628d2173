internal import Synchronization

/// A retry's second or later attempt, or a hedge, that the current task is part of.
///
/// Retries and hedges that begin inside an extra attempt, within ``span`` of its beginning, make one attempt each. So two
/// nested retries that make at most a and b attempts make at most a + b − 1 together, if the inner calls begin in that time
/// and not inside `withoutCallContext`.
///
/// A task that is created in an extra attempt and outlives the attempt inherits the task-local value for as long as it
/// runs. So the attempt itself says when it is over. An attempt that lasts, such as one that consumes a connection for
/// hours, is no part of a burst any more: a call that begins more than ``span`` after the attempt is a call of its own.
package final class ExtraAttempt: Sendable {
    /// How long after its beginning an extra attempt suppresses the extra attempts of calls that begin inside it.
    package static let span = Duration.seconds(60)

    @TaskLocal static var innermost: ExtraAttempt?

    private let isOver = Atomic(false)
    private let timeSource: TimeSource
    private let start: Int64

    private init(_ timeSource: TimeSource) {
        self.timeSource = timeSource
        start = timeSource.now
    }

    /// Whether a call of the current task, which has been running for so many nanoseconds, is to make one attempt only.
    package static func suppressesCall(running: Int64 = 0) -> Bool {
        guard let attempt = innermost, !attempt.isOver.load(ordering: .relaxed) else { return false }
        let age = attempt.timeSource.now.saturatingSubtract(attempt.start)
        return age.saturatingSubtract(max(0, running)) <= span.saturatingNanoseconds
    }

    /// Runs an extra attempt of a policy with this clock.
    nonisolated(nonsending) package static func run<Success>(
        _ timeSource: TimeSource,
        _ body: nonisolated(nonsending) () async throws -> Success
    ) async rethrows -> Success {
        let attempt = ExtraAttempt(timeSource)
        defer { attempt.isOver.store(true, ordering: .relaxed) }
        return try await $innermost.withValue(attempt) { try await body() }
    }
}

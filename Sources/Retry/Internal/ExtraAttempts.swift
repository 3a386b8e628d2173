internal import Synchronization

/// Whether the current task is part of an extra attempt: a retry's second or later one, or a hedge.
///
/// Retries and hedges inside it then make one attempt each. So of two nested retries that make at most a and b attempts,
/// both together make at most a + b − 1.
enum ExtraAttempts {
    /// One extra attempt.
    ///
    /// A task that is created in it and outlives it, such as one that keeps a connection alive, inherits the task-local
    /// value for as long as it runs; so the attempt says itself when it is over.
    final class Attempt: Sendable {
        let isOver = Atomic(false)
    }

    @TaskLocal private static var current: Attempt?

    /// Whether the current task is part of an extra attempt that is under way.
    static var areSuppressed: Bool { current.map { !$0.isOver.load(ordering: .relaxed) } ?? false }

    /// Runs an extra attempt.
    nonisolated(nonsending) static func run<Success>(
        _ body: nonisolated(nonsending) () async throws -> Success
    ) async rethrows -> Success {
        let attempt = Attempt()
        defer { attempt.isOver.store(true, ordering: .relaxed) }
        return try await $current.withValue(attempt) { try await body() }
    }
}

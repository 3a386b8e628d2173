/// Runs work that does not belong to the current call.
///
/// ```swift
/// func connection() async throws -> Connection {
///     if pool == nil { withoutCallContext { pool = Pool.start() } }     // its tasks live longer than this request
///     return try await pool.connection()
/// }
/// ```
///
/// In `operation`, and in every task that it starts, there is no ``Deadline/current``, the retries and hedges of enclosing
/// calls do not hold back those inside, nothing is added to the record of the enclosing call, and nothing counts as a part
/// of a circuit breaker's probe: the half-open breaker may reject it. The correlation id stays.
///
/// The current task stays the one it was: a time limit around it, or its caller, still cancels it. Work that must go on
/// runs in a task that `operation` starts.
///
/// - Parameter operation: The work; it keeps the caller's isolation.
/// - Returns: What `operation` returns.
/// - Throws: What `operation` throws.
nonisolated(nonsending) public func withoutCallContext<Success>(
    _ operation: nonisolated(nonsending) () async throws -> Success
) async rethrows -> Success {
    try await DeadlineScope.$innermost.withValue(nil) {
        try await ExtraAttempt.$innermost.withValue(nil) {
            try await SendTracker.$current.withValue(nil) {
                try await CallTrace.$current.withValue(nil) {
                    try await ProbeScope.$innermost.withValue(nil) { try await operation() }
                }
            }
        }
    }
}

/// Runs synchronous work that does not belong to the current call, such as starting a task.
///
/// - Parameter operation: The work.
/// - Returns: What `operation` returns.
/// - Throws: What `operation` throws.
public func withoutCallContext<Success>(_ operation: () throws -> Success) rethrows -> Success {
    try DeadlineScope.$innermost.withValue(nil) {
        try ExtraAttempt.$innermost.withValue(nil) {
            try SendTracker.$current.withValue(nil) {
                try CallTrace.$current.withValue(nil) { try ProbeScope.$innermost.withValue(nil) { try operation() } }
            }
        }
    }
}

/// The probe of a circuit breaker that the current task is a part of.
package enum ProbeScope {
    /// The innermost probe, or `nil` if there is none.
    @TaskLocal package static var innermost: (any Sendable)?
}

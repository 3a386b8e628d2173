/// Runs work that does not belong to the current call.
///
/// ```swift
/// let pool = withoutCallContext { Pool.start() }     // the tasks of the pool outlive this request
/// ```
///
/// The operation and every task that the operation starts have no call context:
///
/// - ``Deadline/current`` is `nil`.
/// - Extra attempts of enclosing retries and hedges do not suppress inner retries and hedges.
/// - The report of the enclosing call gets no steps.
/// - Calls are no part of a circuit breaker's probe. A half-open breaker may reject the calls.
/// - Work that an abandoning timeout leaves keeps no place in the enclosing bulkheads.
///
/// The correlation id and the priority stay.
///
/// The function does not change the current task. A time limit or the caller still cancels that task. Start a new task
/// in `operation` for work that must continue.
///
/// - Parameter operation: The operation, which keeps the caller's isolation.
/// - Returns: The operation's value.
/// - Throws: The operation's error.
nonisolated(nonsending) public func withoutCallContext<Success>(
    _ operation: nonisolated(nonsending) () async throws -> Success
) async rethrows -> Success {
    try await DeadlineScope.$innermost.withValue(nil) {
        try await ExtraAttempt.$innermost.withValue(nil) {
            try await SendTracker.$current.withValue(nil) {
                try await CallTrace.$current.withValue(nil) {
                    try await ProbeScope.$innermost.withValue(nil) {
                        try await AdmissionScope.innermost.withValue(nil) { try await operation() }
                    }
                }
            }
        }
    }
}

/// Runs synchronous work that does not belong to the current call.
///
/// Synchronous work can start tasks outside of the current call.
///
/// - Parameter operation: The operation.
/// - Returns: The operation's value.
/// - Throws: The operation's error.
public func withoutCallContext<Success>(_ operation: () throws -> Success) rethrows -> Success {
    try DeadlineScope.$innermost.withValue(nil) {
        try ExtraAttempt.$innermost.withValue(nil) {
            try SendTracker.$current.withValue(nil) {
                try CallTrace.$current.withValue(nil) {
                    try ProbeScope.$innermost.withValue(nil) {
                        try AdmissionScope.innermost.withValue(nil) { try operation() }
                    }
                }
            }
        }
    }
}

/// The circuit breaker's probe that the current task is part of.
package enum ProbeScope {
    /// The innermost probe, or `nil` if there is none.
    @TaskLocal package static var innermost: (any Sendable)?
}

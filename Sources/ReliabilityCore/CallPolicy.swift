/// A policy that runs an operation: with a time limit, more than once, or not at all.
///
/// Every policy of this library has this one shape, which is what a pipeline composes.
public protocol CallPolicy: Sendable {
    /// Runs `operation` under the policy.
    ///
    /// The operation keeps the caller's isolation, does not escape, and neither it nor its result has to be
    /// `Sendable`.
    ///
    /// - Parameter operation: The work.
    /// - Returns: What `operation` returns.
    /// - Throws: What `operation` throws, or the policy's own error.
    nonisolated(nonsending) func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success
}

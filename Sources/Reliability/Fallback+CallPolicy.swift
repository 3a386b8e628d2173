public import ReliabilityCore

extension CallPolicy {
    /// Runs `operation` under the policy, and answers in its place when it fails.
    ///
    /// ```swift
    /// let suggestions = try await pipeline.run(or: .stale(last), .value([])) {
    ///     try await search.suggestions(for: text)
    /// }
    /// ```
    ///
    /// The answers are outside the policy: its time limits are over when they are asked. ``Fallback`` has the rules, and
    /// tells whether a value is the call's own.
    ///
    /// - Parameters:
    ///   - answers: What takes the place of the call's value, the best first.
    ///   - operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns, or an answer.
    /// - Throws: What `operation` throws, or the policy's own error, when the task is cancelled, the error finds fault
    ///   with the request, or no answer has a value.
    nonisolated(nonsending) public func run<Value: Sendable>(
        or answers: Fallback<Value>.Answer...,
        operation: nonisolated(nonsending) () async throws -> Value
    ) async throws -> Value {
        try await Fallback(answers: answers).run { try await run(operation) }.value
    }
}

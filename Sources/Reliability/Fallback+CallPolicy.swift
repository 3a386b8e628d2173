public import ReliabilityCore

extension CallPolicy {
    /// Runs the operation under the policy and answers in its place if the call fails.
    ///
    /// ```swift
    /// let lastRates = LastGoodValue<[Int]>(maxAge: .seconds(600)), limit = TimeoutPolicy(.seconds(2))
    /// let rates = try await limit.run(or: .stale(lastRates), .value([])) {
    ///     try await bank.rates()
    /// }
    /// ```
    ///
    /// The answers are outside the policy, so the time limits of the policy do not apply to a source. ``Fallback``
    /// states the rules. ``Fallback/run(_:)`` also returns whether the value came from an answer.
    ///
    /// - Parameters:
    ///   - answers: The answers in order of preference.
    ///   - operation: The operation. It keeps the caller's isolation.
    /// - Returns: The operation's value or the value of an answer.
    /// - Throws: The operation's error or the error of a policy if the caller has cancelled the task, the error is a
    ///   fault of the request, or no answer has a value.
    nonisolated(nonsending) public func run<Value: Sendable>(
        or answers: Fallback<Value>.Answer...,
        operation: nonisolated(nonsending) () async throws -> Value
    ) async throws -> Value {
        try await Fallback(answers: answers).run { try await run(operation) }.value
    }
}

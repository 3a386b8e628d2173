public import ReliabilityCore

extension CallPolicy {
    /// Runs `operation` under the policy; some of its results mean a failure.
    ///
    /// ```swift
    /// let response = try await payments.run(
    ///     failingResult: { $0.status == 503 ? UnwantedResultError(retryAfter: $0.retryAfter) : nil }
    /// ) {
    ///     try await client.post(order)
    /// }
    /// ```
    ///
    /// To the policies, such a result is an attempt that threw the failure: the category decides whether the call is tried
    /// again and whether it counts against the dependency. When the last attempt gave such a result, this result is
    /// returned, for the caller to look at. Where a fallback is to answer, throw the failure instead.
    ///
    /// - Parameters:
    ///   - failure: The failure that a result means, or `nil` if the result is good.
    ///   - operation: The work; it keeps the caller's isolation.
    /// - Returns: The first good result, or the last one.
    /// - Throws: What `operation` throws, or the error of a policy, when the last attempt gave no result.
    nonisolated(nonsending) public func run<Success>(
        failingResult failure: (Success) -> (any ReliabilityError)?,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        var last: Success?
        do {
            return try await run {
                last = nil
                let success = try await operation()
                guard let failure = failure(success) else { return success }
                last = success
                throw FailedResult.error(for: failure)
            }
        } catch {
            guard let last, FailedResult.isCause(of: error) else { throw error }
            return last
        }
    }
}

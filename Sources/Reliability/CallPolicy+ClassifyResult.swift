public import ReliabilityCore

extension CallPolicy {
    /// Runs the operation under the policy and treats some of its results as failures.
    ///
    /// ```swift
    /// let search = ExternalCall("search", .externalAPI(.idempotent))
    /// let response = try await search.run(classifyResult: { $0.status == 503 ? UnwantedResultError() : nil }) {
    ///     try await client.get(url)
    /// }
    /// ```
    ///
    /// The policies treat such a result as an attempt that threw the failure. The category of the failure decides
    /// whether the call is retried and whether the attempt counts against the dependency. If the last attempt returned
    /// such a result, the caller gets the result. A fallback does not answer in place of a result. For a fallback,
    /// throw the failure from the operation.
    ///
    /// - Parameters:
    ///   - failure: The failure that a result stands for, or `nil` for a good result.
    ///   - operation: The operation. It keeps the caller's isolation.
    /// - Returns: The first good result, or the result of the last attempt.
    /// - Throws: The operation's error or the error of a policy if the last attempt returned no result.
    nonisolated(nonsending) public func run<Success>(
        classifyResult failure: (Success) -> (any ReliabilityError)?,
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

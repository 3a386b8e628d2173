public import ReliabilityStore

extension Deduplicator {
    /// Runs an operation without a result, unless the operation ran or is running for the same key.
    ///
    /// - Parameters:
    ///   - name: The name of the operation. The same key under two names is two requests.
    ///   - key: The owner and the name of the request.
    ///   - fingerprint: The content of the request in a canonical form, or `nil` if the key alone identifies the
    ///     request. The same key with another fingerprint is rejected. Defaults to `nil`.
    ///   - operation: The work, which keeps the isolation of the caller.
    /// - Returns: The result, whose `isReplay` indicates whether the operation ran now or before.
    /// - Throws: ``DedupError`` if the operation does not run. `CancellationError` if the task is cancelled before the
    ///   operation runs. Otherwise the error of the operation.
    @discardableResult
    nonisolated(nonsending) public func run(
        _ name: DedupOperation,
        _ key: CompositeKey,
        fingerprint: [UInt8]? = nil,
        operation: nonisolated(nonsending) (DedupClaim) async throws -> Void
    ) async throws -> DedupResult<Void> {
        let done: DedupResult<[UInt8]> = try await run(name, key, fingerprint: fingerprint) { claim in
            try await operation(claim)
            return []
        }
        return DedupResult(value: (), isReplay: done.isReplay, isStored: done.isStored)
    }
}

extension Deduplicator {
    /// Runs an `operation` without a result, unless it ran or runs for the same key.
    ///
    /// - Parameters:
    ///   - name: The operation's name. One key under two names is two requests.
    ///   - key: The request's owner and name.
    ///   - fingerprint: The request's content: the same key with another is rejected. `nil` if the key says it all.
    ///   - operation: The work; it keeps the caller's isolation.
    /// - Returns: Whether it ran now or before.
    /// - Throws: ``DedupError`` when it does not run; `CancellationError` when the task is cancelled before it does; what
    ///   `operation` throws.
    @discardableResult
    nonisolated(nonsending) public func run(
        _ name: DedupOperation,
        _ key: DedupKey,
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

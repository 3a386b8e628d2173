internal import ReliabilityCore
package import ReliabilityStore

/// A call inside a transaction that the caller commits or rolls back.
extension Deduplicator {
    /// Runs an operation, unless the operation ran or is running for the same key.
    ///
    /// The claim and the record of the result are written in the transaction. No other transaction ever reads the
    /// claim. After an error, the caller has to take the writes back.
    ///
    /// - Parameters:
    ///   - name: The name of the operation.
    ///   - key: The owner and the name of the request.
    ///   - fingerprint: The content of the request, or `nil`.
    ///   - commit: Makes a write in the transaction.
    ///   - operation: The work.
    /// - Returns: The result and a function that reports the call. The caller calls the function after the commit.
    /// - Throws: ``DedupError`` if the operation does not run, and the errors of `commit` and `operation`.
    package func runInTransaction<Value: DedupValue>(
        _ name: DedupOperation,
        _ key: CompositeKey,
        fingerprint: [UInt8]?,
        commit: (StoreWrite) throws -> WriteResult,
        operation: (DedupClaim) throws -> Value
    ) throws -> (result: DedupResult<Value>, report: @Sendable () -> Void) {
        let request = DedupRequest(name, key)
        if key.isIncomplete { throw engine.rejection(request, .incompleteKey) }
        let storeKey = key.storeKey(in: keyspace, name)
        let record = engine.newClaim(fingerprint)
        var machine = ClaimStateMachine(
            record: record,
            mode: configuration.mode,
            openedAt: engine.capabilities.openedAt,
            isLocal: engine.localClaims.contains
        )
        let events = engine.events
        var action = machine.first
        while true {
            switch action {
            case .put(let condition):
                let expiry = Expiry.after(configuration.lease + .milliseconds(record.retentionMilliseconds))
                switch try commit(.put(storeKey, record.bytes, expiry, if: condition)) {
                case .committed(let token?): action = machine.committed(token)
                case .committed(nil): throw StoreError(.failed, "the store returned no version for a put")
                case .conflict(let current): action = machine.conflicted(with: current)
                }
            case .own(let token, let isTakeover):
                let value = try operation(DedupClaim(token: token, isTakeover: isTakeover, key: storeKey))
                let (done, expiry, tooLarge) = engine.finalRecord(of: record, with: value.dedupBytes)
                if case .conflict = try commit(.put(storeKey, done.bytes, expiry, if: .version(token))) {
                    throw StoreError(.invalid, "the operation changed the record of its own claim")
                }
                let report: @Sendable () -> Void = {
                    if isTakeover { events.emit(.tookOver(request)) }
                    events.emit(tooLarge.map { .resultNotKept(request, $0) } ?? .executed(request))
                }
                return (DedupResult(value: value, isReplay: false, isStored: true), report)
            case .replay(let bytes):
                let value: Value
                do { value = try Value(dedupBytes: bytes) } catch {
                    throw engine.rejection(request, .unreadable, underlyingError: error)
                }
                return (DedupResult(value: value, isReplay: true, isStored: true), { events.emit(.replayed(request)) })
            case .reject(let reason): throw engine.rejection(request, reason)
            case .giveUp: throw engine.rejection(request, .storeUnavailable)
            }
        }
    }
}

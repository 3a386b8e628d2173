internal import ReliabilityCore
internal import ReliabilityStore

extension DedupEngine {
    /// Returns the record of a finished operation and the expiry of the record.
    ///
    /// - Returns: The record, its expiry, and the error if the store has no room for a result of this length.
    func finalRecord(
        of claim: StoredClaim,
        with result: [UInt8]
    ) -> (record: StoredClaim, expiry: Expiry, tooLarge: StoreError?) {
        var done = claim
        done.state = .doneWithoutResult
        var expiry = Expiry.never
        var tooLarge: StoreError?
        switch configuration.mode {
        case .reject(let window): expiry = .after(window)
        case .replay(let retention):
            if let retention { expiry = .after(retention) }
            done.state = .done
            done.result = result
            let (size, limit) = (done.byteCount, capabilities.maxValueBytes)
            if size > limit, let withoutResult = done.withoutResult {
                // The record without its result still prevents a second run.
                tooLarge = StoreError(.invalid, "a stored result must have at most \(limit) bytes (has \(size))")
                done = withoutResult
            }
        }
        return (done, expiry, tooLarge)
    }

    /// Writes the result of an operation.
    ///
    /// - Returns: `true` if the store has recorded within the timeout that the operation ran.
    func complete(_ claim: HeldClaim, with result: [UInt8]) async -> Bool {
        let (done, expiry, tooLarge) = finalRecord(of: claim.record, with: result)
        let machine = SettleStateMachine(token: claim.token, record: done, expiry: expiry)
        let end = await settle(claim.key, machine) { [self] end in
            finish(claim)
            let request = claim.request
            switch end {
            case .success(.settled): events.emit(tooLarge.map { .resultNotKept(request, $0) } ?? .executed(request))
            case .success(.settledWithoutResult(let version, let error)):
                complete(claim, done, expiry, over: version, error)
            case .success(.lost): events.emit(.lostOwnership(request))
            case .failure(let error): events.emit(.notStored(request, error))
            }
        }
        switch end {
        case .success(.settled), .success(.settledWithoutResult): return true
        case .success(.lost), .failure, nil: return false
        }
    }

    /// Retries for the time of a lease to write the complete record over the record without its result.
    private func complete(
        _ claim: HeldClaim,
        _ record: StoredClaim,
        _ expiry: Expiry,
        over version: StoreVersion?,
        _ error: StoreError
    ) {
        let request = claim.request
        guard let version, error.reason != .invalid else { return events.emit(.resultNotKept(request, error)) }
        let machine = SettleStateMachine(token: version, record: record, expiry: expiry, mayDropResult: false)
        let end = timeSource.instant(after: configuration.lease)
        writer.startWriting(machine, until: end) { [self] machine throws(StoreError) in
            try await settle(claim.key, &machine)
        } ended: { [events] end in
            if case .success(.settled) = end {
                events.emit(.executed(request))
            } else {
                events.emit(.resultNotKept(request, error))
            }
        }
    }

    /// Releases a claim.
    func release(_ claim: HeldClaim) async {
        await release(claim.request, claim.key, claim.record, claim.token, isTakeover: claim.isTakeover) { [self] in
            finish(claim)
        }
    }

    /// Releases a claim, and calls `finish` when the release is written or has failed permanently.
    func release(
        _ request: DedupRequest,
        _ key: StoreKey,
        _ record: StoredClaim,
        _ token: StoreVersion,
        isTakeover: Bool,
        finish: @escaping @Sendable () -> Void = {}
    ) async {
        let machine = SettleStateMachine(releasing: record, token: token, isTakeover: isTakeover)
        _ = await settle(key, machine) { [events] end in
            finish()
            switch end {
            case .success(.settled), .success(.settledWithoutResult): events.emit(.released(request))
            case .success(.lost): events.emit(.lostOwnership(request))
            case .failure(let error): events.emit(.notReleased(request, error))
            }
        }
    }

    /// Releases a claim whose write has an unknown outcome, in a task of its own.
    func abandon(_ request: DedupRequest, _ key: StoreKey, _ record: StoredClaim, isTakeover: Bool) {
        let machine = SettleStateMachine(releasing: record, token: nil, isTakeover: isTakeover)
        writer.startWriting(machine, after: .zero) { [self] machine throws(StoreError) in
            try await settle(key, &machine)
        } ended: { [events] end in
            if case .failure(let error) = end { events.emit(.notReleased(request, error)) }
        }
    }

    /// Stops the renewal of a claim that is settled or lost, or whose store failed permanently.
    private func finish(_ claim: HeldClaim) {
        claim.renewal?.stop()
        localClaims.remove(claim.record.id)
    }

    /// Settles a claim, and retries until the store has answered.
    ///
    /// - Returns: The final state or a permanent error, or `nil` if the store did not answer within the timeout.
    private func settle(
        _ key: StoreKey,
        _ machine: SettleStateMachine,
        ended: @escaping @Sendable (Result<SettleStateMachine.Answer, StoreError>) -> Void
    ) async -> Result<SettleStateMachine.Answer, StoreError>? {
        await writer.write(
            machine,
            maxWait: storeFailure.timeout,
            attempt: { [self] machine throws(StoreError) in try await settle(key, &machine) },
            ended: ended
        )
    }

    private func settle(
        _ key: StoreKey,
        _ machine: inout SettleStateMachine
    ) async throws(StoreError) -> SettleStateMachine.Answer {
        for _ in 0..<4 {
            do throws(StoreError) {
                switch try await commit(machine.write(key)) {
                case .committed(let version): return machine.committed(version)
                case .conflict(let current):
                    if let answer = machine.conflicted(with: current) { return answer }
                }
            } catch {
                if !machine.failed(error) { throw error }
            }
        }
        throw StoreError(.unavailable, "the claim changed during every attempt to settle it")
    }
}

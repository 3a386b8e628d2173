internal import ReliabilityCore
internal import ReliabilityStore

extension Deduplicator {
    /// Keeps the result of a claim's operation.
    ///
    /// - Returns: Whether the store has it by now that the operation ran.
    func complete(_ claim: HeldClaim, with result: [UInt8]) async -> Bool {
        var done = claim.record
        done.state = .doneWithoutResult
        var expiry = Expiry.never
        var tooLarge: StoreError?
        switch configuration.mode {
        case .refuse(let window): expiry = .after(window)
        case .replay(let retention):
            if let retention { expiry = .after(retention) }
            done.state = .done
            done.result = result
            let (size, limit) = (done.bytes.count, capabilities.maximumValueBytes)
            if size > limit, let mark = done.mark {
                // It ran: that much is kept, so that it does not run again.
                tooLarge = StoreError(.invalid, "a result of \(size) bytes, of at most \(limit)")
                done = mark
            }
        }
        let attempt = SettleAttempt(token: claim.token, record: done, expiry: expiry)
        let end = await settle(claim.key, attempt) { [self, done, expiry, tooLarge] end in
            finish(claim)
            let request = claim.request
            switch end {
            case .success(.settled): events.emit(tooLarge.map { .resultNotKept(request, $0) } ?? .executed(request))
            case .success(.marked(let version, let error)): complete(claim, done, expiry, over: version, error)
            case .success(.lost): events.emit(.lostOwnership(request))
            case .failure(let error): events.emit(.notStored(request, error))
            }
        }
        switch end {
        case .success(.settled), .success(.marked): return true
        case .success(.lost), .failure, nil: return false
        }
    }

    /// Replaces the mark by the record for which there was no room, if there is room within a lease.
    private func complete(
        _ claim: HeldClaim,
        _ record: DedupRecord,
        _ expiry: Expiry,
        over mark: StoreVersion?,
        _ error: StoreError
    ) {
        let request = claim.request
        guard let mark, error.reason != .invalid else { return events.emit(.resultNotKept(request, error)) }
        let attempt = SettleAttempt(token: mark, record: record, expiry: expiry, canMark: false)
        let end = timeSource.instant(after: configuration.lease)
        keeper.startWriting(attempt, until: end) { [self] attempt throws(StoreError) in
            try await settle(claim.key, &attempt)
        } ended: { [events] end in
            if case .success(.settled) = end {
                events.emit(.executed(request))
            } else {
                events.emit(.resultNotKept(request, error))
            }
        }
    }

    /// Gives a claim up.
    func release(_ claim: HeldClaim) async {
        await release(claim.request, claim.key, claim.record, claim.token, isTakeover: claim.isTakeover) { [self] in
            finish(claim)
        }
    }

    /// Gives a claim up, and calls `finish` when that is written.
    func release(
        _ request: DedupRequest,
        _ key: StoreKey,
        _ record: DedupRecord,
        _ token: StoreVersion,
        isTakeover: Bool,
        finish: @escaping @Sendable () -> Void = {}
    ) async {
        let attempt = SettleAttempt(releasing: record, token: token, isTakeover: isTakeover)
        _ = await settle(key, attempt) { [events] end in
            finish()
            switch end {
            case .success(.settled), .success(.marked): events.emit(.released(request))
            case .success(.lost): events.emit(.lostOwnership(request))
            case .failure(let error): events.emit(.notReleased(request, error))
            }
        }
    }

    /// Gives a claim up of which it is not known whether it was written, and does not wait for that.
    func abandon(_ request: DedupRequest, _ key: StoreKey, _ record: DedupRecord, isTakeover: Bool) {
        let attempt = SettleAttempt(releasing: record, token: nil, isTakeover: isTakeover)
        keeper.startWriting(attempt, after: .zero) { [self] attempt throws(StoreError) in
            try await settle(key, &attempt)
        } ended: { [events] end in
            if case .failure(let error) = end { events.emit(.notReleased(request, error)) }
        }
    }

    /// Lets go of a claim that is settled, lost, or in a store that failed for good.
    private func finish(_ claim: HeldClaim) {
        claim.renewal?.stop()
        liveClaims.remove(claim.record.id)
    }

    /// Writes the end of a claim until the store has answered; the caller waits no longer than for any other call.
    private func settle(
        _ key: StoreKey,
        _ attempt: SettleAttempt,
        ended: @escaping @Sendable (Result<SettleAttempt.Answer, StoreError>) -> Void
    ) async -> Result<SettleAttempt.Answer, StoreError>? {
        let patience = configuration.storeFailure.timeLimit
        return await keeper.write(attempt, patience: patience) { [self] attempt throws(StoreError) in
            try await settle(key, &attempt)
        } ended: {
            ended($0)
        }
    }

    private func settle(
        _ key: StoreKey,
        _ attempt: inout SettleAttempt
    ) async throws(StoreError) -> SettleAttempt.Answer {
        for _ in 0..<4 {
            do throws(StoreError) {
                switch try await commit(attempt.write(key)) {
                case .committed(let versions): return attempt.committed(versions.first.flatMap { $0 })
                case .conflict(_, let current):
                    if let answer = attempt.conflicted(with: current) { return answer }
                }
            } catch {
                if !attempt.failed(error) { throw error }
            }
        }
        throw StoreError(.unavailable, "a claim kept changing")
    }
}

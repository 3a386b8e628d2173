internal import ReliabilityCore
internal import ReliabilityStore

/// A claim that this caller holds.
struct HeldClaim: Sendable {
    let request: DedupRequest
    let key: StoreKey
    let record: StoredClaim
    let token: StoreVersion
    let isTakeover: Bool
    /// The renewal of the lease, or `nil` in a store with a single owner, which needs no renewal.
    let renewal: LeaseRenewal?
}

/// The outcome of a call's attempt to claim its key.
enum ClaimOutcome: Sendable {
    case owned(HeldClaim)
    case replay([UInt8])
    case unprotected(StoreError)
}

extension DedupEngine {
    nonisolated(nonsending) func claim(
        _ request: DedupRequest,
        _ key: StoreKey,
        _ fingerprint: [UInt8]?
    ) async throws -> ClaimOutcome {
        if request.key.isIncomplete { throw rejection(request, .incompleteKey) }
        let record = newClaim(fingerprint)
        localClaims.insert(record.id)
        do {
            let outcome = try await claim(request, key, record)
            if case .owned = outcome { return outcome }
            localClaims.remove(record.id)
            return outcome
        } catch {
            localClaims.remove(record.id)
            throw error
        }
    }

    /// Returns the record of a new claim.
    func newClaim(_ fingerprint: [UInt8]?) -> StoredClaim {
        StoredClaim(
            state: .inProgress,
            id: .unique(),
            retentionMilliseconds: configuration.claimRetentionMilliseconds,
            digest: fingerprint.map(SHA256.digest)
        )
    }

    nonisolated(nonsending) private func claim(
        _ request: DedupRequest,
        _ key: StoreKey,
        _ record: StoredClaim
    ) async throws -> ClaimOutcome {
        var machine = ClaimStateMachine(
            record: record,
            mode: configuration.mode,
            openedAt: capabilities.openedAt,
            isLocal: localClaims.contains
        )
        var action = machine.first
        var failure = StoreError(.unavailable, "the claim changed during every attempt to take it")
        while true {
            switch action {
            case .put(let condition):
                let expiry = Expiry.after(configuration.lease + .milliseconds(record.retentionMilliseconds))
                do throws(StoreError) {
                    switch try await commit(.put(key, record.bytes, expiry, if: condition)) {
                    case .committed(let token?): action = machine.committed(token)
                    case .committed(nil): throw StoreError(.failed, "the store returned no version for a put")
                    case .conflict(let current): action = machine.conflicted(with: current)
                    }
                } catch {
                    failure = error
                    action = machine.failed(error)
                }
            case .own(let token, let isTakeover):
                if Task.isCancelled {
                    await release(request, key, record, token, isTakeover: isTakeover)
                    throw CancellationError()
                }
                if isTakeover { events.emit(.tookOver(request)) }
                return .owned(
                    HeldClaim(
                        request: request,
                        key: key,
                        record: record,
                        token: token,
                        isTakeover: isTakeover,
                        renewal: renewal(of: key, record, token)
                    )
                )
            case .replay(let bytes): return .replay(bytes)
            case .reject(let reason): throw rejection(request, reason)
            case .giveUp:
                if machine.mayHaveClaimed { abandon(request, key, record, isTakeover: machine.isTakeover) }
                if CancellationCause.current == .caller { throw CancellationError() }
                // A call whose deadline has passed does not run in either failure mode.
                if storeFailure.action == .failOpen, Deadline.current?.isExpired != true {
                    return .unprotected(failure)
                }
                throw rejection(request, .storeUnavailable, underlyingError: failure)
            }
        }
    }

    /// Starts the renewal of a lease, or returns `nil` in a store with a single owner.
    private func renewal(of key: StoreKey, _ record: StoredClaim, _ token: StoreVersion) -> LeaseRenewal? {
        if capabilities.openedAt != nil { return nil }
        let lease = configuration.lease
        let expiry = Expiry.after(lease + .milliseconds(record.retentionMilliseconds))
        let write = StoreWrite.touch(key, expiry, if: .version(token))
        return LeaseRenewal(lease, timeSource: timeSource) { [self] () throws(StoreError) in
            if case .conflict = try await commit(write) { return false }
            return true
        }
    }
}

extension Deduplicator.Configuration {
    /// The time in milliseconds for which an unsettled claim is retained after its lease has ended.
    ///
    /// The value is the retention of results, at least 30 days and at most 36,500 days. After a long downtime, a call
    /// therefore still recognizes a claim that was never settled.
    var claimRetentionMilliseconds: UInt64 {
        let (shortest, longest) = (Duration.seconds(30 * 86_400), Duration.seconds(36_500 * 86_400))
        let kept =
            switch mode {
            case .replay(let retention): retention ?? longest
            case .reject(let window): window
            }
        return UInt64(clamping: min(max(kept, shortest), longest).saturatingNanoseconds / 1_000_000)
    }
}

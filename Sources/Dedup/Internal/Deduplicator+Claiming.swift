internal import ReliabilityCore
internal import ReliabilityStore

/// A claim that this caller holds.
struct HeldClaim: Sendable {
    let request: DedupRequest
    let key: StoreKey
    let record: DedupRecord
    let token: StoreVersion
    let isTakeover: Bool
    /// `nil` in a store with one owner: there, the claim ends with its holder or with its process.
    let renewal: LeaseRenewal?
}

/// What becomes of a call.
enum Admission: Sendable {
    case owned(HeldClaim)
    case replay([UInt8])
    case unprotected(StoreError)
}

extension Deduplicator {
    nonisolated(nonsending) func claim(
        _ request: DedupRequest,
        _ key: StoreKey,
        _ fingerprint: [UInt8]?
    ) async throws -> Admission {
        if request.key.isIncomplete { throw refusal(request, .incompleteKey) }
        let record = DedupRecord(
            state: .inProgress,
            id: .random(),
            memory: configuration.claimMemory,
            digest: fingerprint.map(SHA256.digest)
        )
        liveClaims.insert(record.id)
        do {
            let admission = try await claim(request, key, record)
            if case .owned = admission { return admission }
            liveClaims.remove(record.id)
            return admission
        } catch {
            liveClaims.remove(record.id)
            throw error
        }
    }

    nonisolated(nonsending) private func claim(
        _ request: DedupRequest,
        _ key: StoreKey,
        _ record: DedupRecord
    ) async throws -> Admission {
        var attempt = ClaimAttempt(
            record: record,
            mode: configuration.mode,
            openedAt: capabilities.openedAt,
            isLive: liveClaims.contains
        )
        var action = attempt.first
        var failure = StoreError(.unavailable, "a claim kept changing hands")
        while true {
            switch action {
            case .put(let condition):
                let expiry = Expiry.after(configuration.lease + .milliseconds(record.memory))
                do throws(StoreError) {
                    switch try await commit(.put(key, record.bytes, expiry, if: condition)) {
                    case .committed(let versions):
                        guard let token = versions.first.flatMap({ $0 }) else {
                            throw StoreError(.failed, "the store returned no version for a put")
                        }
                        action = attempt.committed(token)
                    case .conflict(_, let current): action = attempt.conflicted(with: current)
                    }
                } catch {
                    failure = error
                    action = attempt.failed(error)
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
            case .refuse(let reason): throw refusal(request, reason)
            case .giveUp:
                if attempt.mayHaveClaimed { abandon(request, key, record, isTakeover: attempt.isTakeover) }
                if CancellationCause.current == .caller { throw CancellationError() }
                // A caller whose time is up does not run either.
                if configuration.storeFailure.action == .open, Deadline.current?.isExpired != true {
                    return .unprotected(failure)
                }
                throw refusal(request, .storeUnavailable, underlyingError: failure)
            }
        }
    }

    /// Renews a claim's lease, in a store that several processes use.
    private func renewal(of key: StoreKey, _ record: DedupRecord, _ token: StoreVersion) -> LeaseRenewal? {
        if capabilities.openedAt != nil { return nil }
        let lease = configuration.lease
        let write = StoreWrite.touch(key, .after(lease + .milliseconds(record.memory)), if: .version(token))
        return LeaseRenewal(lease, timeSource: timeSource) { [store] () throws(StoreError) in
            let result = try await store.write { store throws(StoreError) in try await store.commit([write]) }
            if case .conflict = result { return false }
            return true
        }
    }
}

extension DedupConfiguration {
    /// How many milliseconds longer than its lease a claim is known: as long as a result is kept, and at least 30 days.
    ///
    /// So a call that comes after a long downtime still learns that an earlier one was never settled.
    var claimMemory: UInt64 {
        let (shortest, longest) = (Duration.seconds(30 * 86_400), Duration.seconds(36_500 * 86_400))
        let kept =
            switch mode {
            case .replay(let retention): retention ?? longest
            case .refuse(let window): window
            }
        return UInt64(clamping: min(max(kept, shortest), longest).saturatingNanoseconds / 1_000_000)
    }
}

internal import ReliabilityCore
internal import ReliabilityStore
internal import Retry

extension OutboxRelay {
    /// The least uptime of a relay for another delivery after a delivery that was never settled.
    static let crashBackoff = Backoff.exponential(initial: .seconds(1), max: .seconds(300), jitter: .none)

    /// Claims messages and gives back the messages that are not to be delivered yet.
    ///
    /// - Returns: The claims to deliver and the number of claimed messages, which is `nil` if the store failed.
    func claim(_ limit: Int, uptime: Duration, spread: Double) async -> (batch: ClaimBatch, count: Int?) {
        let (name, lease) = (queue.name, configuration.lease)
        let claims: [RecordClaim]
        let fresh: [RecordClaim]
        do throws(StoreError) {
            queue.claims.beginRequest()
            defer { queue.claims.endRequest() }
            claims = try await store.write { store throws(StoreError) in
                try await store.claim(name, limit: limit, lease: lease)
            }
            fresh = claims.filter(queue.claims.register)
        } catch {
            state.withLock { $0.recordFailedRequest(limit) }
            storeFailed(error)
            return (ClaimBatch(), nil)
        }
        let batch = ClaimBatch(fresh, maxAttempts: configuration.maxAttempts, uptime: uptime) { attempts in
            Self.crashBackoff.wait(afterAttempt: attempts, random: random) * spread
        }
        state.withLock { $0.recordClaims(claims.count, of: limit, isolating: batch.alone?.token) }
        for _ in fresh.count..<claims.count { endDelivery(dueAfter: nil) }
        if !batch.givenBack.isEmpty { await giveBack(batch.givenBack) }
        if let alone = batch.alone { reportIsolated(alone, after: .zero) }
        for givenBack in batch.givenBack where givenBack.claim.wasAbandoned && givenBack.wait > .zero {
            reportIsolated(givenBack.claim, after: givenBack.wait)
        }
        return (batch, claims.count)
    }

    /// Reads the time of the next due message after a request that found fewer messages than requested.
    ///
    /// - Parameters:
    ///   - count: The number of claimed messages.
    ///   - changeCount: The count of the request.
    func updateNextDue(claimed count: Int, changeCount: UInt64) async {
        // After a change since the request, the answer would be out of date.
        if state.withLock({ $0.changeCount != changeCount }) { return }
        let name = queue.name
        do throws(StoreError) {
            let due = try await store.read { store throws(StoreError) in try await store.nextDue(name) }
            let now = timeSource.now
            state.withLock { $0.recordNextDue(claimed: count, nextDue: due, changeCount: changeCount, now: now) }
        } catch {
            storeFailed(error)
        }
    }

    private func reportIsolated(_ claim: RecordClaim, after wait: Duration) {
        events.emit(.isolated(id: claim.id, attempts: claim.attempt - 1, after: wait))
    }

    private func storeFailed(_ error: StoreError) {
        if Task.isCancelled { return }
        if error.isPermanent {
            drain()
            events.emit(.stopped(error))
            return
        }
        let now = timeSource.now
        state.withLock { $0.storeFailed(now: now, random: random) }
    }

    /// Undoes claims, so that the messages are due again after their waits and the attempts do not count.
    func giveBack(_ givenBack: [ClaimBatch.GivenBack]) async {
        // From now on, another claim of such a message begins a new delivery.
        for each in givenBack { queue.claims.remove(queue.claims.activeClaim(for: each.claim)) }
        let settlements = givenBack.map(\.settlement)
        let maxWait = queue.storeFailure.timeout
        // A stale token after an attempt of unknown outcome means that the attempt succeeded.
        _ = await writer.write((), maxWait: maxWait) { [self] _ throws(StoreError) in
            try await store.write { store throws(StoreError) in try await store.settle(settlements) }
        } ended: { [events] end in
            guard case .failure(let error) = end else { return }
            for each in givenBack { events.emit(.notSettled(id: each.claim.id, error: error)) }
        }
        for each in givenBack { endDelivery(dueAfter: each.wait) }
    }

    /// Records the end of a delivery.
    ///
    /// - Parameters:
    ///   - dueAfter: The wait until the message is due again, or `nil` if the message is settled or lost.
    ///   - wasSettling: A Boolean value that indicates whether the outcome waited for the store. Defaults to `false`.
    func endDelivery(dueAfter: Duration?, wasSettling: Bool = false) {
        let now = timeSource.now
        state.withLock { $0.endDelivery(dueAfter: dueAfter, wasSettling: wasSettling, now: now) }
        signal.send()
    }
}

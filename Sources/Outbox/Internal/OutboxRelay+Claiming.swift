internal import ReliabilityCore
internal import ReliabilityStore
internal import Retry

extension OutboxRelay {
    /// The least uptime of a relay for another delivery after a delivery that was never settled.
    static let crashBackoff = Backoff.exponential(initial: .seconds(1), max: .seconds(300), jitter: .none)

    /// Claims messages and gives back the messages that are not to be delivered yet.
    func claim(_ limit: Int, _ changeCount: UInt64, _ makeBatch: ([RecordClaim]) -> ClaimBatch) async -> ClaimBatch {
        let (name, lease) = (queue.name, configuration.lease)
        let claims: [RecordClaim]
        let fresh: [RecordClaim]
        do throws(StoreError) {
            queue.relays.beginClaim()
            defer { queue.relays.endClaim() }
            claims = try await store.write { store throws(StoreError) in
                try await store.claim(name, limit: limit, lease: lease)
            }
            fresh = claims.filter(queue.relays.register)
        } catch {
            state.withLock { $0.notClaimed(limit) }
            storeFailed(error)
            return makeBatch([])
        }
        let batch = makeBatch(fresh)
        state.withLock { $0.claimed(claims.count, of: limit, isolating: batch.alone?.token) }
        for _ in fresh.count..<claims.count { ended(retryAfter: nil) }
        if !batch.givenBack.isEmpty { await giveBack(batch.givenBack) }
        if let alone = batch.alone { reportIsolated(alone, after: .zero) }
        for givenBack in batch.givenBack where givenBack.claim.wasAbandoned && givenBack.wait > .zero {
            reportIsolated(givenBack.claim, after: givenBack.wait)
        }
        if claims.count < limit {
            do throws(StoreError) {
                let due = try await store.read { store throws(StoreError) in try await store.nextDue(name) }
                state.withLock {
                    $0.idle(claimed: claims.count, nextDue: due, changeCount: changeCount, now: timeSource.now)
                }
            } catch {
                storeFailed(error)
            }
        }
        return batch
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
        state.withLock { $0.storeFailed(now: timeSource.now, random: random) }
    }

    /// Undoes claims, so that the messages are due again after their waits and the attempts do not count.
    func giveBack(_ givenBack: [ClaimBatch.GivenBack]) async {
        // From now on, another claim of such a message begins a new delivery.
        for each in givenBack { queue.relays.remove(queue.relays.activeClaim(for: each.claim)) }
        let settlements = givenBack.map(\.settlement)
        let maxWait = queue.storeFailure.timeout
        // A stale token after an attempt of unknown outcome means that the attempt succeeded.
        _ = await leases.write((), maxWait: maxWait) { [self] _ throws(StoreError) in
            try await store.write { store throws(StoreError) in try await store.settle(settlements) }
        } ended: { [events] end in
            guard case .failure(let error) = end else { return }
            for each in givenBack { events.emit(.notSettled(id: each.claim.id, error: error)) }
        }
        for each in givenBack { ended(retryAfter: each.wait) }
    }

    /// Records the end of a delivery.
    ///
    /// - Parameter retryAfter: The wait until the next delivery of the message, or `nil` if there is none.
    func ended(retryAfter: Duration?) {
        state.withLock { $0.delivered(retryAfter: retryAfter, now: timeSource.now) }
        signal.send()
    }

    /// Removes dead letters after their retention until the relay stops.
    func removeDeadLetters(after retention: Duration) async {
        let interval = max(.seconds(60), min(retention / 8, .seconds(3600)))
        var next = timeSource.now
        while !Task.isCancelled {
            let count = signal.count
            if state.withLock({ $0.isDraining }) { return }
            if timeSource.now >= next {
                // While the store is down, dead letters stay until a later round.
                try? await removeDeadLettersOnce(after: retention)
                next = timeSource.instant(after: interval)
            }
            await signal.wait(after: count, until: next, timeSource: timeSource)
        }
    }

    private func removeDeadLettersOnce(after retention: Duration) async throws(StoreError) {
        let (name, limit) = (queue.name, queue.maxBatch)
        var after: String?
        repeat {
            let start = after
            let page = try await store.read { store throws(StoreError) in
                try await store.page(name, .deadLetter, after: start, limit: limit)
            }
            let removed = try await queue.settle(page.records, .done, olderThan: retention) {
                settlements throws(StoreError) in
                try await store.write { store throws(StoreError) in try await store.settle(settlements) }
            }
            for record in removed { events.emit(.removed(id: record.id, reason: record.deadLetterReason ?? "")) }
            after = page.next
        } while after != nil && !Task.isCancelled
    }
}

internal import ReliabilityCore
internal import ReliabilityStore
internal import Retry

extension OutboxRelay {
    /// The time that a relay has to have run before it delivers a message whose last delivery nobody settled.
    static let crashBackoff = Backoff.exponential(initial: .seconds(1), cap: .seconds(300), jitter: .none)

    /// Asks the store for messages, and gives back those that are not to be delivered now.
    func claim(_ limit: Int, _ news: UInt64, _ plan: ([RecordClaim]) -> ClaimPlan) async -> ClaimPlan {
        let (name, lease) = (queue.name, configuration.lease)
        let claims: [RecordClaim]
        let fresh: [RecordClaim]
        do throws(StoreError) {
            queue.relays.beginClaim()
            defer { queue.relays.endClaim() }
            claims = try await store.write { store throws(StoreError) in
                try await store.claim(name, limit: limit, lease: lease)
            }
            fresh = claims.filter(queue.relays.take)
        } catch {
            state.withLock { $0.notClaimed(limit) }
            storeFailed(error)
            return plan([])
        }
        let plan = plan(fresh)
        state.withLock { $0.claimed(claims.count, of: limit, isolating: plan.alone?.token) }
        for _ in fresh.count..<claims.count { ended(retryAfter: nil) }
        if !plan.returns.isEmpty { await giveBack(plan.returns) }
        if let alone = plan.alone { report(alone, after: .zero) }
        for back in plan.returns where back.claim.wasAbandoned && back.wait > .zero {
            report(back.claim, after: back.wait)
        }
        if claims.count < limit {
            do throws(StoreError) {
                let due = try await store.read { store throws(StoreError) in try await store.nextDue(name) }
                state.withLock { $0.idle(claimed: claims.count, nextDue: due, news: news, now: timeSource.now) }
            } catch {
                storeFailed(error)
            }
        }
        return plan
    }

    private func report(_ suspect: RecordClaim, after wait: Duration) {
        events.emit(.isolated(id: suspect.id, attempts: suspect.attempt - 1, after: wait))
    }

    private func storeFailed(_ error: StoreError) {
        if Task.isCancelled { return }
        if error.isLasting {
            drain()
            events.emit(.stopped(error))
            return
        }
        let wait = state.withLock { $0.storeFailed(now: timeSource.now, random: random) }
        events.emit(.storeUnavailable(error, retryAfter: wait))
    }

    /// Undoes claims: the messages are due again, and their attempts not counted.
    func giveBack(_ returns: [ClaimPlan.Return]) async {
        // From now on another claim of such a message is a new one.
        for back in returns { queue.relays.remove(queue.relays.holder(of: back.claim)) }
        let settlements = returns.map(\.settlement)
        let patience = configuration.storeTimeLimit
        // A token that is used up, after an attempt of unknown outcome, means that it did happen.
        _ = await leases.write((), patience: patience) { [self] _ throws(StoreError) in
            try await store.write { store throws(StoreError) in try await store.settle(settlements) }
        } ended: { [events] end in
            guard case .failure(let error) = end else { return }
            for back in returns { events.emit(.notSettled(id: back.claim.id, error: error)) }
        }
        for back in returns { ended(retryAfter: back.wait) }
    }

    /// Takes note that a message is not under way any more.
    func ended(retryAfter: Duration?) {
        state.withLock { $0.delivered(retryAfter: retryAfter, now: timeSource.now) }
        signal.send()
    }

    /// Removes messages that have been dead for too long, now and then, until the relay stops.
    func removeDead(after retention: Duration) async {
        let interval = max(.seconds(60), min(retention / 8, .seconds(3600)))
        var next = timeSource.now
        while !Task.isCancelled {
            let count = signal.count
            if state.withLock({ $0.isDraining }) { return }
            if timeSource.now >= next {
                // While the store is down nothing is removed; the next round is soon enough.
                try? await removeDeadOnce(after: retention)
                next = timeSource.instant(after: interval)
            }
            await signal.wait(after: count, until: next, timeSource: timeSource)
        }
    }

    private func removeDeadOnce(after retention: Duration) async throws(StoreError) {
        let (name, most) = (queue.name, queue.mostAtOnce)
        var after: String?
        repeat {
            let start = after
            let page = try await store.read { store throws(StoreError) in
                try await store.page(name, .dead, after: start, limit: most)
            }
            let removed = try await queue.settle(page.records, .done, olderThan: retention) {
                settlements throws(StoreError) in
                try await store.write { store throws(StoreError) in try await store.settle(settlements) }
            }
            for record in removed { events.emit(.removed(id: record.id, reason: record.deadReason ?? "")) }
            after = page.next
        } while after != nil && !Task.isCancelled
    }
}

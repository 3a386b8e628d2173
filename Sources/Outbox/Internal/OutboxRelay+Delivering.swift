internal import ReliabilityCore
internal import ReliabilityStore

extension OutboxRelay {
    private var isStopping: Bool { Task.isCancelled || state.withLock { $0.isCut } }

    /// Delivers a message while no other one is, but for those whose handlers hang, so that a crash is no other one's.
    func deliverAlone(_ claim: RecordClaim) async {
        defer {
            state.withLock { $0.endIsolation(of: claim.token) }
            signal.send()
        }
        let holder = queue.relays.holder(of: claim)
        let interval = max(configuration.lease / 3, .milliseconds(1))
        var renewal = timeSource.instant(after: interval)
        while true {
            let count = signal.count
            let (isAlone, isDraining) = state.withLock { ($0.isAlone(claim.token), $0.isDraining) }
            if isDraining || Task.isCancelled {
                return await giveBack([ClaimPlan.Return(claim: holder.claim, wait: .zero)])
            }
            if isAlone { return await deliver(claim) }
            await signal.wait(after: count, until: renewal, timeSource: timeSource)
            guard timeSource.now >= renewal else { continue }
            if let result = try? await settle(holder, .extend(configuration.lease)), result == .stale {
                queue.relays.remove(holder)
                events.emit(.leaseLost(id: claim.id))
                return ended(retryAfter: nil)
            }
            renewal = timeSource.instant(after: interval)
        }
    }

    /// Delivers a message, and writes what became of it.
    func deliver(_ claim: RecordClaim) async {
        let holder = queue.relays.holder(of: claim)
        if Task.isCancelled || state.withLock({ $0.isDraining }) {
            return await settle(holder, .release) {}
        }
        guard let message = OutboxMessage(id: claim.id, encoded: claim.payload) else {
            return await settle(holder, .dead(OutboxError(.unreadable))) {}
        }
        if claim.attempt > configuration.maxAttempts {
            // Nobody said how the last of them ended: this message may have ended the process.
            return await settle(holder, .dead(OutboxError(.attemptsExhausted))) {}
        }
        let limit = timeSource.instant(after: configuration.timeLimit)
        let run = HandlerRun()
        runs.withLock { $0.append(run) }
        defer { runs.withLock { runs in runs.removeAll { $0 === run } } }
        // The relay may have cancelled the others in between.
        if isStopping { run.cancel() }
        // No task: handlers that never suspend may have all the threads on which tasks run.
        let limiter = timeSource.timer(at: limit) { self.cancel(run, of: claim) }
        start(OutboxDelivery(message: message, attempt: claim.attempt), run, by: limit)
        let keeper = startTask(on: timeSource.taskExecutor) {
            await self.keep(holder, run, of: claim)
        }
        let end = await withTaskCancellationHandler {
            await run.wait()
        } onCancel: {
            // Before the handler is cancelled: its cancellation handlers are the user's, and may block.
            run.walkAway(at: timeSource.instant(after: configuration.cancellationGrace), timeSource: timeSource)
            timeSource.cancelFromTimer { run.cancel() }
        }
        limiter.cancel()
        if run.isOverrun { state.withLock { $0.returned() } }
        guard let result = end else {
            keeper.cancel()
            queue.relays.remove(holder)
            events.emit(.abandoned(id: claim.id, attempt: claim.attempt))
            return ended(retryAfter: nil)
        }
        let verdict = DeliveryVerdict(
            result,
            isStopping: isStopping,
            isLate: timeSource.now >= limit,
            attempt: claim.attempt,
            configuration: configuration,
            classify: classify,
            random: random
        )
        await settle(holder, verdict) { keeper.cancel() }
    }

    /// Runs the handler in a task of its own, so that it can be cancelled alone.
    ///
    /// Not in place: a handler that never suspends would be over before its lease is renewed or its time limited.
    private func start(_ delivery: OutboxDelivery, _ run: HandlerRun, by limit: Int64) {
        let deadline = Deadline(instant: limit, timeSource: timeSource)
        let task = Task(executorPreference: timeSource.taskExecutor) { @concurrent [handler] in
            // A relay may run in a task that somebody's call has started, and a delivery is no part of that call.
            await withoutCallContext {
                let scope = DeadlineScope(deadline)
                defer { scope.add(.hasEnded) }
                let result: Result<Void, any Error> = await DeadlineScope.$innermost.withValue(scope) {
                    do { return .success(try await handler(delivery)) } catch { return .failure(error) }
                }
                run.finish(result)
            }
        }
        if run.begin(task) { timeSource.cancelFromTimer { task.cancel() } }
    }

    /// Prolongs the lease while a delivery lasts, and cancels the delivery when the lease is lost.
    private func keep(_ holder: ClaimHolder, _ run: HandlerRun, of claim: RecordClaim) async {
        let interval = max(configuration.lease / 3, .milliseconds(1))
        while true {
            do { try await timeSource.sleep(for: interval) } catch { return }
            do throws(StoreError) {
                if try await settle(holder, .extend(configuration.lease)) == .stale { return cancel(run, of: claim) }
            } catch {
                // A store that is down now may be back at the next turn, and the lease not over yet.
                if error.isLasting { return }
            }
        }
    }

    /// Cancels a delivery that takes too long or has lost its lease, and reports if the handler ignores that.
    ///
    /// It needs no thread on which tasks run: a handler that blocks has taken one.
    private func cancel(_ run: HandlerRun, of claim: RecordClaim) {
        let end = timeSource.instant(after: configuration.cancellationGrace)
        run.beginGrace(until: end, timeSource: timeSource) { [self] in
            events.emit(.overrun(id: claim.id, attempt: claim.attempt))
            // It hangs and crashes nothing: the others need not wait for it.
            state.withLock { $0.overran(claim.token) }
            signal.send()
        }
        timeSource.cancelFromTimer { run.cancel() }
    }

    // MARK: Settling

    /// Writes what became of a delivery until the store has answered, and waits for that no longer than for any call.
    ///
    /// - Parameters:
    ///   - holder: The message's claim.
    ///   - verdict: What became of its delivery.
    ///   - onEnd: Called when the store has answered, or has failed for good.
    private func settle(
        _ holder: ClaimHolder,
        _ verdict: DeliveryVerdict,
        ended onEnd: @escaping @Sendable () -> Void
    ) async {
        let patience = configuration.storeTimeLimit
        let claim = holder.claim
        let action = verdict.action(for: claim)
        _ = await leases.write(false, patience: patience) { [self] mayHaveHappened throws(StoreError) in
            do throws(StoreError) {
                // Stale after an unknown outcome: the token is gone because it did happen.
                return try await settle(holder, action) == .settled || mayHaveHappened
            } catch {
                if error.reason == .unknownOutcome { mayHaveHappened = true }
                throw error
            }
        } ended: { [events, queue] end in
            onEnd()
            queue.relays.remove(holder)
            switch end {
            case .success(true): events.emit(verdict.event(id: claim.id, attempt: claim.attempt))
            case .success(false): events.emit(.leaseLost(id: claim.id))
            case .failure(let error): events.emit(.notSettled(id: claim.id, error: error))
            }
        }
        var retryAfter: Duration?
        switch action {
        case .retry(let wait, _), .holdBack(let wait): retryAfter = wait
        case .done, .dead, .extend, .redrive: break
        }
        ended(retryAfter: retryAfter)
    }

    /// Settles a claim, under a later token where the process has got one meanwhile.
    private func settle(
        _ holder: ClaimHolder,
        _ action: Settlement.Action
    ) async throws(StoreError) -> SettleResult {
        while true {
            let settlement = holder.settlement(action)
            let result = try await settleOnce(settlement)
            if result == .settled { return result }
            if holder.claim.token != settlement.token { continue }
            // The store may have handed the message to this process a moment ago.
            if queue.relays.isClaiming { throw StoreError(.unavailable, "the message may be this process's again") }
            return result
        }
    }

    private func settleOnce(_ settlement: Settlement) async throws(StoreError) -> SettleResult {
        let results = try await store.write { store throws(StoreError) in try await store.settle([settlement]) }
        return results.first ?? .stale
    }
}

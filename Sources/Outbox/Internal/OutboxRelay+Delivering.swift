internal import ReliabilityCore
internal import ReliabilityStore

extension OutboxRelay {
    private func cancelsHandlers(of session: RelaySession) -> Bool {
        session.isCancelled || state.withLock { $0.isCancellingHandlers }
    }

    /// Delivers a message while the relay delivers no other message, so that a crash affects no other message.
    ///
    /// The delivery does not wait for handlers that hang.
    func deliverAlone(_ claim: RecordClaim, in session: RelaySession) async {
        let endIsolation: @Sendable () -> Void = { [self] in
            state.withLock { $0.endIsolation(of: claim.token) }
            signal.send()
        }
        let activeClaim = queue.claims.activeClaim(for: claim)
        let isLost = Lock(false)
        let renewal = startRenewal(of: activeClaim) { [signal] in
            isLost.withLock { $0 = true }
            signal.send()
        }
        defer { renewal.stop() }
        while true {
            let count = signal.count
            if isLost.withLock({ $0 }) {
                queue.claims.remove(activeClaim)
                events.emit(.leaseLost(id: claim.id))
                endDelivery(dueAfter: nil)
                return endIsolation()
            }
            let (isAlone, isDraining) = state.withLock { ($0.isAlone(claim.token), $0.isDraining) }
            // A relay that stops releases the message in beginDelivery.
            if isAlone || isDraining || Task.isCancelled {
                renewal.stop()
                if Task.isCancelled { session.cancel() }
                return beginDelivery(of: claim, in: session, ended: endIsolation)
            }
            await signal.wait(after: count, until: nil, timeSource: timeSource)
        }
    }

    /// Starts the delivery of a message, which ends when the outcome is stored.
    ///
    /// - Parameters:
    ///   - claim: The claim of the message.
    ///   - session: The call that delivers the message.
    ///   - onEnd: Called at the end of the delivery. Defaults to no action.
    func beginDelivery(
        of claim: RecordClaim,
        in session: RelaySession,
        ended onEnd: @escaping @Sendable () -> Void = {}
    ) {
        let activeClaim = queue.claims.activeClaim(for: claim)
        session.beginDelivery()
        let waitEnded: @Sendable (Duration?, _ wasSettling: Bool) -> Void = { [self] dueAfter, wasSettling in
            endDelivery(dueAfter: dueAfter, wasSettling: wasSettling)
            onEnd()
            session.endDelivery()
        }
        if session.isCancelled || state.withLock({ $0.isDraining }) {
            return settle(activeClaim, .release, waitEnded: waitEnded)
        }
        guard let message = OutboxMessage(id: claim.id, encoded: claim.payload) else {
            return settle(activeClaim, .deadLetter(OutboxError(.unreadable)), waitEnded: waitEnded)
        }
        if claim.attempt > configuration.maxAttempts {
            // The last delivery was never settled, so the message may have ended the process.
            return settle(activeClaim, .deadLetter(OutboxError(.attemptsExhausted)), waitEnded: waitEnded)
        }
        let deadline = timeSource.instant(after: configuration.deliveryTimeout)
        let run = HandlerRun(in: session)
        runs.withLock { $0.append(run) }
        // A timer and not a task, because handlers that never suspend can occupy all threads of the task executor.
        let timeoutTimer = timeSource.timer(at: deadline) { self.cancel(run, of: claim) }
        let renewal = startRenewal(of: activeClaim) { [self] in cancel(run, of: claim) }
        run.whenEnded { [self] end in
            timeoutTimer.cancel()
            runs.withLock { runs in runs.removeAll { $0 === run } }
            if run.isOverrun { state.withLock { $0.recordOverrunReturn() } }
            guard case .returned(let result) = end else {
                renewal.stop()
                queue.claims.remove(activeClaim)
                events.emit(.abandoned(id: claim.id, attempt: claim.attempt))
                return waitEnded(nil, false)
            }
            let outcome = DeliveryOutcome(
                result,
                cancelsHandlers: cancelsHandlers(of: session),
                isLate: timeSource.now >= deadline,
                attempt: claim.attempt,
                configuration: configuration,
                classify: classify,
                random: random
            )
            settle(activeClaim, outcome, ended: renewal.stop, waitEnded: waitEnded)
        }
        start(OutboxDelivery(message: message, attempt: claim.attempt), run, by: deadline)
        // The relay may have cancelled the other handlers before this run was added.
        if session.isCancelled {
            stop(run)
        } else if state.withLock({ $0.isCancellingHandlers }) {
            timeSource.cancelFromTimer { run.cancel() }
        }
    }

    /// Cancels the handlers of a call that was cancelled.
    func cancel(_ session: RelaySession) {
        session.cancel()
        for run in runs.withLock({ $0 }) where run.session === session { stop(run) }
        signal.send()
    }

    /// Cancels a handler and abandons the handler at the end of its grace period.
    private func stop(_ run: HandlerRun) {
        // The timer starts before the cancellation, because the cancellation handlers of the user can block.
        run.abandon(at: timeSource.instant(after: configuration.cancellationGrace), timeSource: timeSource)
        timeSource.cancelFromTimer { run.cancel() }
    }

    /// Runs the handler in a task of its own, which can be cancelled alone.
    ///
    /// A handler that never suspends must not delay the renewal of its lease or its timeout.
    private func start(_ delivery: OutboxDelivery, _ run: HandlerRun, by instant: Int64) {
        let deadline = Deadline(instant: instant, timeSource: timeSource)
        let task = Task(executorPreference: timeSource.taskExecutor) { @concurrent [handler] in
            // The relay may run in a task that a call has started, and a delivery is no part of that call.
            await withoutCallContext {
                let scope = DeadlineScope(deadline)
                defer { scope.add(.hasEnded) }
                let result: Result<Void, any Error> = await DeadlineScope.$innermost.withValue(scope) {
                    do { return .success(try await handler(delivery)) } catch { return .failure(error) }
                }
                run.end(.returned(result))
            }
        }
        if run.attach(task) { timeSource.cancelFromTimer { task.cancel() } }
    }

    /// Renews the lease of a claim until the renewal is stopped or the lease is lost.
    ///
    /// - Parameters:
    ///   - activeClaim: The claim.
    ///   - lost: Called when the lease is lost.
    /// - Returns: The renewal, which the caller stops.
    private func startRenewal(
        of activeClaim: ActiveClaim,
        lost: @escaping @Sendable () -> Void
    ) -> LeaseRenewal {
        let lease = configuration.lease
        return LeaseRenewal(lease, timeSource: timeSource) { [self] () throws(StoreError) in
            do throws(StoreError) {
                if try await extend(activeClaim, by: lease) == .settled { return true }
            } catch {
                // No later renewal can succeed, and the lease is not lost before it ends.
                if error.isPermanent { return false }
                throw error
            }
            lost()
            return false
        }
    }

    /// Cancels a delivery that exceeded its timeout or lost its lease, and reports a handler that does not return.
    ///
    /// The cancellation needs no thread of the task executor, because a handler that blocks can occupy the last thread.
    private func cancel(_ run: HandlerRun, of claim: RecordClaim) {
        let end = timeSource.instant(after: configuration.cancellationGrace)
        run.beginGrace(until: end, timeSource: timeSource) { [self] in
            events.emit(.overrun(id: claim.id, attempt: claim.attempt))
            // A handler that hangs does not crash the process, so no message waits for its end.
            state.withLock { $0.recordOverrun(of: claim.token) }
            signal.send()
        }
        timeSource.cancelFromTimer { run.cancel() }
    }

    // MARK: Settling

    /// Stores the outcome of a delivery and repeats the attempt until the store has answered.
    ///
    /// - Parameters:
    ///   - activeClaim: The message's claim.
    ///   - outcome: The outcome of the delivery.
    ///   - onEnd: Called when the store has answered, or has failed for good. Defaults to no action.
    ///   - waitEnded: Called when the outcome is stored, or after the timeout of a call to the store. Later attempts
    ///     continue. The first parameter is the wait until the message is due again.
    private func settle(
        _ activeClaim: ActiveClaim,
        _ outcome: DeliveryOutcome,
        ended onEnd: @escaping @Sendable () -> Void = {},
        waitEnded: @escaping @Sendable (Duration?, _ wasSettling: Bool) -> Void
    ) {
        let claim = activeClaim.claim
        let action = outcome.action(for: claim)
        var dueAfter: Duration?
        switch action {
        case .retry(let wait, _), .holdBack(let wait): dueAfter = wait
        case .done, .deadLetter, .extend, .redrive: break
        }
        state.withLock { $0.beginSettling() }
        signal.send()
        let settlement = PendingSettlement(activeClaim, action) { [events, queue] result in
            onEnd()
            queue.claims.remove(activeClaim)
            switch result {
            case .success(true): events.emit(outcome.event(id: claim.id, attempt: claim.attempt))
            case .success(false): events.emit(.leaseLost(id: claim.id))
            case .failure(let error): events.emit(.notSettled(id: claim.id, error: error))
            }
        } waitEnded: { [dueAfter] in
            waitEnded(dueAfter, true)
        }
        settlements.add(settlement, maxWait: queue.storeFailure.timeout)
    }

    /// Extends the lease of a claim under its newest token.
    private func extend(_ activeClaim: ActiveClaim, by lease: Duration) async throws(StoreError) -> SettleResult {
        while true {
            let settlement = activeClaim.settlement(.extend(lease))
            let result = try await settleOnce(settlement)
            if result == .settled { return result }
            if activeClaim.claim.token != settlement.token { continue }
            // A relay of this process may be claiming the message again. The unavailable error makes the caller try
            // again after the registration of the new claim.
            if queue.claims.isRequesting {
                throw StoreError(.unavailable, "the message is perhaps being claimed again")
            }
            return result
        }
    }

    private func settleOnce(_ settlement: Settlement) async throws(StoreError) -> SettleResult {
        let results = try await store.write { store throws(StoreError) in try await store.settle([settlement]) }
        return results.first ?? .stale
    }
}

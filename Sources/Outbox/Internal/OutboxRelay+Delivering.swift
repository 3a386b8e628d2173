internal import ReliabilityCore
internal import ReliabilityStore

extension OutboxRelay {
    private var cancelsHandlers: Bool { Task.isCancelled || state.withLock { $0.isCancellingHandlers } }

    /// Delivers a message while the relay delivers no other message, so that a crash affects no other message.
    ///
    /// The delivery does not wait for handlers that hang.
    func deliverAlone(_ claim: RecordClaim) async {
        defer {
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
                return endDelivery(dueAfter: nil)
            }
            let (isAlone, isDraining) = state.withLock { ($0.isAlone(claim.token), $0.isDraining) }
            // A relay that stops releases the message in deliver(_:).
            if isAlone || isDraining || Task.isCancelled {
                renewal.stop()
                return await deliver(claim)
            }
            await signal.wait(after: count, until: nil, timeSource: timeSource)
        }
    }

    /// Delivers a message and stores the outcome.
    func deliver(_ claim: RecordClaim) async {
        let activeClaim = queue.claims.activeClaim(for: claim)
        if Task.isCancelled || state.withLock({ $0.isDraining }) {
            return await settle(activeClaim, .release)
        }
        guard let message = OutboxMessage(id: claim.id, encoded: claim.payload) else {
            return await settle(activeClaim, .deadLetter(OutboxError(.unreadable)))
        }
        if claim.attempt > configuration.maxAttempts {
            // The last delivery was never settled, so the message may have ended the process.
            return await settle(activeClaim, .deadLetter(OutboxError(.attemptsExhausted)))
        }
        let deadline = timeSource.instant(after: configuration.deliveryTimeout)
        let run = HandlerRun()
        runs.withLock { $0.append(run) }
        defer { runs.withLock { runs in runs.removeAll { $0 === run } } }
        // The relay may have cancelled the other handlers before this run was added.
        if cancelsHandlers { run.cancel() }
        // A timer and not a task, because handlers that never suspend can occupy all threads of the task executor.
        let timeoutTimer = timeSource.timer(at: deadline) { self.cancel(run, of: claim) }
        start(OutboxDelivery(message: message, attempt: claim.attempt), run, by: deadline)
        let renewal = startRenewal(of: activeClaim) { [self] in cancel(run, of: claim) }
        let end = await withTaskCancellationHandler {
            await run.wait()
        } onCancel: {
            // The timer starts before the cancellation, because the cancellation handlers of the user can block.
            run.abandon(at: timeSource.instant(after: configuration.cancellationGrace), timeSource: timeSource)
            timeSource.cancelFromTimer { run.cancel() }
        }
        timeoutTimer.cancel()
        if run.isOverrun { state.withLock { $0.recordOverrunReturn() } }
        guard case .returned(let result) = end else {
            renewal.stop()
            queue.claims.remove(activeClaim)
            events.emit(.abandoned(id: claim.id, attempt: claim.attempt))
            return endDelivery(dueAfter: nil)
        }
        let outcome = DeliveryOutcome(
            result,
            cancelsHandlers: cancelsHandlers,
            isLate: timeSource.now >= deadline,
            attempt: claim.attempt,
            configuration: configuration,
            classify: classify,
            random: random
        )
        await settle(activeClaim, outcome) { renewal.stop() }
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
                if try await settle(activeClaim, .extend(lease)) == .settled { return true }
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
    /// The call waits no longer than the timeout of a call to the store. Later attempts continue without the call.
    ///
    /// - Parameters:
    ///   - activeClaim: The message's claim.
    ///   - outcome: The outcome of the delivery.
    ///   - onEnd: Called when the store has answered, or has failed for good.
    private func settle(
        _ activeClaim: ActiveClaim,
        _ outcome: DeliveryOutcome,
        ended onEnd: @escaping @Sendable () -> Void = {}
    ) async {
        let maxWait = queue.storeFailure.timeout
        let claim = activeClaim.claim
        let action = outcome.action(for: claim)
        _ = await writer.write(false, maxWait: maxWait) { [self] mayHaveHappened throws(StoreError) in
            do throws(StoreError) {
                // A stale token after an unknown outcome means that the earlier attempt succeeded.
                return try await settle(activeClaim, action) == .settled || mayHaveHappened
            } catch {
                if error.reason == .unknownOutcome { mayHaveHappened = true }
                throw error
            }
        } ended: { [events, queue] end in
            onEnd()
            queue.claims.remove(activeClaim)
            switch end {
            case .success(true): events.emit(outcome.event(id: claim.id, attempt: claim.attempt))
            case .success(false): events.emit(.leaseLost(id: claim.id))
            case .failure(let error): events.emit(.notSettled(id: claim.id, error: error))
            }
        }
        var dueAfter: Duration?
        switch action {
        case .retry(let wait, _), .holdBack(let wait): dueAfter = wait
        case .done, .deadLetter, .extend, .redrive: break
        }
        endDelivery(dueAfter: dueAfter)
    }

    /// Settles a claim under its newest token.
    private func settle(
        _ activeClaim: ActiveClaim,
        _ action: Settlement.Action
    ) async throws(StoreError) -> SettleResult {
        while true {
            let settlement = activeClaim.settlement(action)
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

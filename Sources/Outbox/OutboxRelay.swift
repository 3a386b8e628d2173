internal import ReliabilityCore
internal import ReliabilityStore
public import Retry

/// Delivers the messages of an outbox.
///
/// ```swift
/// let relay = OutboxRelay(outbox) { delivery in
///     try await shipping.send(delivery.message.payload, id: delivery.message.id)
/// }
/// await relay.run()
/// ```
///
/// Every message is delivered at least once, and once only while nothing fails. A process that dies between a delivery
/// and its note of it delivers again, with the same identity: a consumer that remembers identities is exactly-once in
/// effect. A failed delivery is repeated after a growing wait, and after `maxAttempts` the message is dead: kept aside,
/// until ``OutboxQueue/redriveDead(limit:)``. While it waits, others are delivered; so there is no order among messages.
///
/// Any number of relays, in any number of processes, may share a queue. While the store is down, a relay waits, and goes
/// on by itself when it is back.
public final class OutboxRelay: Sendable {
    /// How messages are delivered.
    public let configuration: OutboxRelayConfiguration
    private let queue: OutboxQueue
    private let store: GuardedStore<any RecordStore>
    private let handler: @Sendable (OutboxDelivery) async throws -> Void
    private let classify: @Sendable (any Error) -> RetryDecision
    private let timeSource: TimeSource
    private let random: RandomSource
    private let events: EventSink<OutboxEvent>
    private let state: Lock<RelayState>
    private let leases: LeaseKeeper
    private let bell = Doorbell()

    /// Creates a relay; it delivers while ``run()`` runs.
    ///
    /// - Parameters:
    ///   - queue: Where the messages are.
    ///   - configuration: How messages are delivered.
    ///   - classify: What an error of the handler means. At ``Retry/RetryDecision/stop`` the message is dead at once.
    ///   - clock: Measures waits, time limits and renewals.
    ///   - randomness: Where jitter comes from.
    ///   - observer: Is told what happens.
    ///   - handler: Delivers a message, several at a time. To return is to have delivered it.
    public init(
        _ queue: OutboxQueue,
        _ configuration: OutboxRelayConfiguration = OutboxRelayConfiguration(),
        classify: @escaping @Sendable (any Error) -> RetryDecision = OutboxRelay.standardDecision(for:),
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (OutboxEvent) -> Void)? = nil,
        handler: @escaping @Sendable (OutboxDelivery) async throws -> Void
    ) {
        self.queue = queue
        self.configuration = configuration
        self.classify = classify
        self.handler = handler
        timeSource = TimeSource(clock)
        random = RandomSource(randomness)
        events = EventSink(observer)
        leases = LeaseKeeper(timeSource: timeSource)
        store = GuardedStore(queue.store, timeLimit: configuration.storeTimeLimit, timeSource: timeSource)
        state = Lock(
            RelayState(
                concurrency: configuration.concurrency,
                maximumClaim: queue.store.capabilities.maximumWrites,
                pollInterval: configuration.pollInterval
            )
        )
    }

    /// Tries again after every error, and no sooner than the error asks for.
    ///
    /// - Parameter error: What the handler threw.
    /// - Returns: The decision.
    public static func standardDecision(for error: any Error) -> RetryDecision {
        (error as? any ReliabilityError)?.retryAfter.map { .retryAfter($0) } ?? .retry
    }

    /// Delivers messages until the relay is drained or the task is cancelled.
    ///
    /// When the task is cancelled, so are the handlers; their messages are given back, and the attempts not counted. It
    /// returns when the last handler has.
    @concurrent public func run() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                let rings = bell.rings
                switch state.withLock({ $0.next(now: timeSource.now) }) {
                case .stop: return
                case .wait(let instant): await bell.wait(after: rings, until: instant, timeSource: timeSource)
                case .claim(let limit, let news):
                    for claim in await claim(limit, news) {
                        group.addTask { await self.deliver(claim) }
                    }
                }
            }
        }
    }

    /// Stops taking messages for good; ``run()`` returns when those under way are delivered.
    public func drain() {
        state.withLock { $0.drain() }
        bell.ring()
    }

    /// Says that a message was sent, so that the relay need not wait until it looks by itself.
    ///
    /// It is a hint: nothing is lost without it.
    public func wake() {
        state.withLock { $0.wake() }
        bell.ring()
    }

    // MARK: Claiming

    private func claim(_ limit: Int, _ news: UInt64) async -> [RecordClaim] {
        let (name, lease) = (queue.name, configuration.lease)
        let claims: [RecordClaim]
        do throws(StoreError) {
            claims = try await store.write { store throws(StoreError) in
                try await store.claim(name, limit: limit, lease: lease)
            }
        } catch {
            state.withLock { $0.notClaimed(limit) }
            storeFailed(error)
            return []
        }
        state.withLock { $0.claimed(claims.count, of: limit) }
        if claims.count < limit {
            do throws(StoreError) {
                let due = try await store.read { store throws(StoreError) in try await store.nextDue(name) }
                state.withLock { $0.idle(claimed: claims.count, nextDue: due, news: news, now: timeSource.now) }
            } catch {
                storeFailed(error)
            }
        }
        return claims
    }

    private func storeFailed(_ error: StoreError) {
        if Task.isCancelled { return }
        let wait = state.withLock { $0.storeFailed(now: timeSource.now, random: random) }
        events.emit(.storeUnavailable(error, retryAfter: wait))
    }

    // MARK: Delivering

    private func deliver(_ claim: RecordClaim) async {
        let keeper: Task<Void, Never>?
        let verdict: DeliveryVerdict
        if Task.isCancelled {
            (keeper, verdict) = (nil, .release)
        } else if let message = OutboxMessage(id: claim.id, encoded: claim.payload) {
            if claim.attempt > configuration.maxAttempts {
                // The process died in each of them: this message may be the reason.
                (keeper, verdict) = (nil, .dead(OutboxError(.attemptsExhausted)))
            } else {
                let deadline = Deadline(
                    instant: timeSource.instant(after: configuration.timeLimit),
                    timeSource: timeSource
                )
                let work = start(OutboxDelivery(message: message, attempt: claim.attempt), deadline)
                keeper = startTask { await self.keep(claim, work, until: deadline.instant) }
                let result = await withTaskCancellationHandler {
                    await work.value
                } onCancel: {
                    work.cancel()
                }
                verdict = DeliveryVerdict(
                    result,
                    isStopping: Task.isCancelled,
                    isLate: timeSource.now >= deadline.instant,
                    attempt: claim.attempt,
                    configuration: configuration,
                    classify: classify,
                    random: random
                )
            }
        } else {
            (keeper, verdict) = (nil, .dead(OutboxError(.unreadable)))
        }
        await settle(claim, verdict) { keeper?.cancel() }
        var retryAfter: Duration?
        if case .retry(let after, _) = verdict.action { retryAfter = after }
        state.withLock { $0.delivered(retryAfter: retryAfter, now: timeSource.now) }
        bell.ring()
    }

    /// Runs the handler in a task of its own, so that it can be cancelled alone.
    ///
    /// Not in place: a handler that never suspends would be over before its lease is renewed or its time limited.
    private func start(_ delivery: OutboxDelivery, _ deadline: Deadline) -> Task<Result<Void, any Error>, Never> {
        Task(executorPreference: timeSource.taskExecutor) { @concurrent [handler] in
            let scope = DeadlineScope(deadline)
            defer { scope.add(.hasEnded) }
            return await DeadlineScope.$innermost.withValue(scope) {
                do { return .success(try await handler(delivery)) } catch { return .failure(error) }
            }
        }
    }

    /// Prolongs the lease while a delivery lasts, and cancels the delivery when it takes too long or the lease is lost.
    private func keep(
        _ claim: RecordClaim,
        _ work: Task<Result<Void, any Error>, Never>,
        until limit: Int64
    ) async {
        let interval = max(configuration.lease / 3, .milliseconds(1))
        var renewal = timeSource.instant(after: interval)
        var limit = limit
        while true {
            do { try await timeSource.sleep(until: min(renewal, limit)) } catch { return }
            let now = timeSource.now
            if now >= limit {
                work.cancel()
                limit = .max
            }
            guard now >= renewal else { continue }
            // A store that is down now may be back at the next turn, and the lease not over yet.
            if let result = try? await settle(claim, .extend(configuration.lease)), result == .stale {
                work.cancel()
                return
            }
            renewal = timeSource.instant(after: interval)
        }
    }

    // MARK: Settling

    /// Writes what became of a delivery until the store has answered, and waits for that no longer than for any call.
    ///
    /// - Parameters:
    ///   - claim: The message.
    ///   - verdict: What became of its delivery.
    ///   - ended: Called when the store has answered, or has failed for good.
    private func settle(_ claim: RecordClaim, _ verdict: DeliveryVerdict, ended: @escaping @Sendable () -> Void) async {
        let patience = configuration.storeTimeLimit
        _ = await leases.write(false, patience: patience) { [self] mayHaveHappened throws(StoreError) in
            do throws(StoreError) {
                // Stale after an unknown outcome: the token is gone because it did happen.
                return try await settle(claim, verdict.action) == .settled || mayHaveHappened
            } catch {
                if error.reason == .unknownOutcome { mayHaveHappened = true }
                throw error
            }
        } ended: { [events] end in
            ended()
            switch end {
            case .success(true): events.emit(verdict.event(id: claim.id, attempt: claim.attempt))
            case .success(false): events.emit(.leaseLost(id: claim.id))
            case .failure(let error): events.emit(.notSettled(id: claim.id, error: error))
            }
        }
    }

    private func settle(_ claim: RecordClaim, _ action: Settlement.Action) async throws(StoreError) -> SettleResult {
        let results = try await store.write { store throws(StoreError) in
            try await store.settle([Settlement(claim, action)])
        }
        return results.first ?? .stale
    }
}

internal import ReliabilityCore
internal import ReliabilityStore

/// Delivers the messages of an outbox.
///
/// ```swift
/// let relay = OutboxRelay(queue: outbox) { delivery in
///     try await shipping.send(delivery.message.payload, id: delivery.message.id)
/// }
/// await relay.run()
/// ```
///
/// Every message is delivered at least once. A message is delivered again after a failed delivery, and after a crash
/// between a delivery and its settlement. The identity stays the same. A consumer that remembers identities has each
/// effect once. A failed delivery is repeated after a growing wait. After `maxAttempts` deliveries the message is a
/// dead letter until ``OutboxQueue/redriveDeadLetters(limit:)``. Other messages are delivered during a wait. Messages
/// have no order.
///
/// If the last delivery of a message was never settled, the message may have ended the process. Its next delivery is
/// isolated, after a wait that grows with each crash (``OutboxEvent/isolated(id:attempts:after:)``). No message waits
/// for a handler that hangs (``OutboxEvent/overrun(id:attempt:)``).
///
/// A process claims its own messages again if the process was suspended, or its store was down, for longer than the
/// lease. While relays of the same queue value deliver or settle a message, they do not deliver the message a second
/// time.
///
/// Any number of relays in any number of processes can share a queue. A relay waits while the store is down and resumes
/// when the store has recovered. The relay stops once the store is closed or has failed for good.
public final class OutboxRelay: Sendable {
    /// The configuration of the relay.
    public let configuration: Configuration
    let queue: OutboxQueue
    let store: GuardedStore<any RecordStore>
    let handler: @Sendable (OutboxDelivery) async throws -> Void
    let classify: @Sendable (any Error) -> DeliveryDecision
    let timeSource: TimeSource
    let random: RandomSource
    let events: EventSink<OutboxEvent>
    let state: Lock<RelayStateMachine>
    let writer: SettlementWriter
    let settlements: SettlementQueue
    let signal = AsyncSignal()
    /// The running handlers, in the order of their start.
    let runs = Lock<[HandlerRun]>([])

    /// Creates a relay, which delivers messages while ``run()`` runs.
    ///
    /// - Parameters:
    ///   - configuration: The configuration. Defaults to ``Configuration/standard``.
    ///   - queue: The queue of the messages.
    ///   - classify: The decision about a failed delivery. A handler that throws after the delivery timeout has failed
    ///     with ``OutboxError``. Defaults to ``DeliveryDecision/standard(for:)``.
    ///   - clock: The clock of waits, timeouts and renewals. Defaults to `ContinuousClock`.
    ///   - randomness: The source of jitter. Defaults to the system's generator.
    ///   - observer: Receives every event in order. Defaults to no observer.
    ///   - handler: Delivers a message. The message is delivered once the handler returns. Several handlers run at the
    ///     same time.
    /// - Precondition: The configuration is valid (``Configuration/validate()``).
    public init(
        _ configuration: Configuration = .standard,
        queue: OutboxQueue,
        classify: @escaping @Sendable (any Error) -> DeliveryDecision = DeliveryDecision.standard(for:),
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (OutboxEvent) -> Void)? = nil,
        handler: @escaping @Sendable (OutboxDelivery) async throws -> Void
    ) {
        requireValid(configuration.validate)
        self.queue = queue
        self.configuration = configuration
        self.classify = classify
        self.handler = handler
        timeSource = TimeSource(clock)
        random = RandomSource(randomness)
        events = EventSink(observer)
        writer = SettlementWriter(timeSource: timeSource)
        store = GuardedStore(
            queue.store,
            canStall: queue.store.capabilities.canStall,
            timeout: queue.storeFailure.timeout,
            timeSource: timeSource,
            events: events
        )
        settlements = SettlementQueue(
            store,
            claims: queue.claims,
            maxBatch: queue.store.capabilities.maxWrites,
            timeSource: timeSource
        )
        state = Lock(
            RelayStateMachine(
                concurrency: configuration.concurrency,
                maxClaim: queue.store.capabilities.maxWrites,
                pollInterval: configuration.pollInterval
            )
        )
    }

    /// Delivers messages until the relay is drained, the task is cancelled, or the store has failed for good.
    ///
    /// A cancelled call cancels its handlers, gives their messages back, and does not count the attempts. The call
    /// returns when the last handler has returned. A handler that has not returned after
    /// ``Configuration/cancellationGrace`` is abandoned. The call then waits for the store no longer than the timeout
    /// of the queue's `storeFailure`. Therefore a cancelled call returns within the sum of both times.
    @concurrent public func run() async {
        let number = queue.relays.add { [weak self] in self?.wake() }
        let stopWaking = queue.store.onEnqueue(queue.name) { [weak self] in self?.wake() }
        defer {
            queue.relays.remove(number)
            stopWaking()
        }
        let start = timeSource.now
        // Relays of the same process wait for different times after a crash.
        let spread = Double(random.next(upTo: 1000)) / 2000 + 0.5
        let session = RelaySession()
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                if let retention = configuration.deadLetterRetention {
                    group.addTask { await self.removeDeadLetters(after: retention) }
                }
                while !Task.isCancelled {
                    let count = signal.count
                    let now = timeSource.now
                    switch state.withLock({ $0.next(now: now) }) {
                    case .stop: return
                    case .wait(let instant): await signal.wait(after: count, until: instant, timeSource: timeSource)
                    case .claim(let limit, let changeCount):
                        let uptime = Duration.nanoseconds(timeSource.now.saturatingSubtract(start))
                        let (batch, count) = await claim(limit, uptime: uptime, spread: spread)
                        // The handler of the cancellation may not have run yet.
                        if Task.isCancelled { session.cancel() }
                        for claim in batch.deliveries { beginDelivery(of: claim, in: session) }
                        if let claim = batch.alone { group.addTask { await self.deliverAlone(claim, in: session) } }
                        if let count, count < limit { await updateNextDue(claimed: count, changeCount: changeCount) }
                    }
                }
            }
            await session.waitForDeliveries()
        } onCancel: {
            cancel(session)
        }
    }

    /// Stops claiming messages for good.
    ///
    /// ``run()`` returns when the current deliveries have ended. That wait has no limit, because a handler can ignore
    /// its cancellation. The wait of ``drain(within:)`` has a limit.
    public func drain() {
        state.withLock { $0.drain() }
        signal.send()
    }

    /// Stops claiming messages for good and waits for the current deliveries up to the limit.
    ///
    /// Handlers that have not returned shortly before the limit are cancelled. Their messages are given back, and the
    /// attempts do not count. The time before the limit is a quarter of the limit, at most
    /// ``Configuration/cancellationGrace``.
    ///
    /// Handlers that have not returned at the limit are abandoned. Their messages are delivered again when the leases
    /// have ended, or when the store is opened again. ``run()`` returns afterwards, within the timeout of the queue's
    /// `storeFailure`.
    ///
    /// ```swift
    /// let relaying = Task { await relay.run() }
    /// // At shutdown, within less than the grace period of the platform:
    /// await relay.drain(within: .seconds(20))
    /// await relaying.value
    /// ```
    ///
    /// Close the store after ``run()`` has returned.
    ///
    /// The cancellation of the current task counts as the limit.
    ///
    /// - Parameter limit: The longest wait.
    /// - Returns: The number of abandoned handlers.
    @discardableResult
    public func drain(within limit: Duration) async -> Int {
        let end = timeSource.instant(after: limit)
        let reserve = min(limit / 4, configuration.cancellationGrace)
        drain()
        await waitUntilIdle(by: end.saturatingSubtract(max(0, reserve.saturatingNanoseconds)))
        state.withLock { $0.cancelHandlers() }
        for run in runs.withLock({ $0 }) { timeSource.cancelFromTimer { run.cancel() } }
        signal.send()
        await waitUntilIdle(by: end)
        return runs.withLock { $0 }.count { $0.abandon() }
    }

    private func waitUntilIdle(by instant: Int64) async {
        while !Task.isCancelled, timeSource.now < instant {
            let count = signal.count
            if state.withLock({ $0.inFlight == 0 }) { return }
            await signal.wait(after: count, until: instant, timeSource: timeSource)
        }
    }

    /// Requests messages from the store without waiting for the next poll.
    ///
    /// ``OutboxQueue/commit(_:sending:)`` wakes the relays of the same queue value. Without a call, the relay finds a
    /// message after ``Configuration/pollInterval`` at the latest.
    public func wake() {
        state.withLock { $0.wake() }
        signal.send()
    }
}

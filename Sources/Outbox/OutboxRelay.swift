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
/// A message that ends the process takes no other one along: where nobody settled the last delivery of a message, the next
/// is made alone, after a wait that grows with each crash (``OutboxEvent/isolated(id:attempts:after:)``). No message waits
/// for a handler that hangs (``OutboxEvent/overrun(id:attempt:)``).
///
/// A process that stood still for longer than the lease, or whose store was down for so long, gets its own messages again.
/// It does not deliver them a second time while relays of the same queue value deliver or settle them.
///
/// Any number of relays, in any number of processes, may share a queue. While the store is down, a relay waits, and goes
/// on by itself when it is back; once the store is closed or has failed for good, the relay stops.
public final class OutboxRelay: Sendable {
    /// How messages are delivered.
    public let configuration: OutboxRelayConfiguration
    let queue: OutboxQueue
    let store: GuardedStore<any RecordStore>
    let handler: @Sendable (OutboxDelivery) async throws -> Void
    let classify: @Sendable (any Error) -> RetryDecision
    let timeSource: TimeSource
    let random: RandomSource
    let events: EventSink<OutboxEvent>
    let state: Lock<RelayState>
    let leases: LeaseKeeper
    let signal = WakeSignal()
    /// The handlers that run, in the order in which they began.
    let runs = Lock<[HandlerRun]>([])

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

    /// Delivers messages until the relay is drained, the task is cancelled, or the store is closed or has failed for good.
    ///
    /// When the task is cancelled, so are the handlers; their messages are given back, and the attempts not counted. It
    /// returns when the last handler has. From a handler that ignores its cancellation it walks away after
    /// `cancellationGrace`, and it waits for the store no longer than `storeTimeLimit`; so it returns in the sum of both.
    @concurrent public func run() async {
        let number = queue.relays.add { [weak self] in self?.wake() }
        defer { queue.relays.remove(number) }
        let start = timeSource.now
        // Of several relays in one process that crashed, each waits another time.
        let spread = Double(random.next(upTo: 1000)) / 2000 + 0.5
        await withDiscardingTaskGroup { group in
            if let retention = configuration.deadRetention {
                group.addTask { await self.removeDead(after: retention) }
            }
            while !Task.isCancelled {
                let count = signal.count
                switch state.withLock({ $0.next(now: timeSource.now) }) {
                case .stop: return
                case .wait(let instant): await signal.wait(after: count, until: instant, timeSource: timeSource)
                case .claim(let limit, let news):
                    let uptime = Duration.nanoseconds(timeSource.now.saturatingSubtract(start))
                    let plan = await claim(limit, news) { claims in
                        ClaimPlan(claims, maxAttempts: self.configuration.maxAttempts, uptime: uptime) { attempts in
                            Self.crashBackoff.wait(afterAttempt: attempts, random: self.random) * spread
                        }
                    }
                    for claim in plan.deliveries { group.addTask { await self.deliver(claim) } }
                    if let claim = plan.alone { group.addTask { await self.deliverAlone(claim) } }
                }
            }
        }
    }

    /// Stops taking messages for good; ``run()`` returns when those under way are delivered.
    ///
    /// It has no bound: a handler may take as long as `timeLimit`, and one that ignores its cancellation longer.
    /// ``drain(within:)`` has one.
    public func drain() {
        state.withLock { $0.drain() }
        signal.send()
    }

    /// Stops taking messages for good, and waits for those under way, at most as long as the limit.
    ///
    /// Handlers that have not returned shortly before the limit (the last quarter of it, at most `cancellationGrace`) are
    /// cancelled; their messages are given back, and the attempts not counted. From handlers that have not returned at the
    /// limit, the relay walks away, and ``run()`` returns; their messages are delivered again when their leases end, or the
    /// store is opened anew.
    ///
    /// ```swift
    /// let relaying = Task { await relay.run() }
    /// await untilToldToStop()
    /// await relay.drain(within: .seconds(20))        // the platform kills the process after 30 s
    /// await store.close()
    /// ```
    ///
    /// If the task is cancelled, the limit has come.
    ///
    /// - Parameter limit: The longest wait.
    /// - Returns: The number of handlers that the relay walked away from.
    @discardableResult
    public func drain(within limit: Duration) async -> Int {
        let end = timeSource.instant(after: limit)
        let reserve = min(limit / 4, configuration.cancellationGrace)
        drain()
        await waitUntilIdle(by: end.saturatingSubtract(max(0, reserve.saturatingNanoseconds)))
        state.withLock { $0.cut() }
        for run in runs.withLock({ $0 }) { timeSource.cancelFromTimer { run.cancel() } }
        signal.send()
        await waitUntilIdle(by: end)
        return runs.withLock { $0 }.count { $0.finish(nil) }
    }

    private func waitUntilIdle(by instant: Int64) async {
        while !Task.isCancelled, timeSource.now < instant {
            let count = signal.count
            if state.withLock({ $0.inFlight == 0 }) { return }
            await signal.wait(after: count, until: instant, timeSource: timeSource)
        }
    }

    /// Says that a message was sent, so that the relay need not wait until it looks by itself.
    ///
    /// ``OutboxQueue/commit(_:sending:)`` does so for the relays of the same queue in the process. It is a hint: nothing
    /// is lost without it.
    public func wake() {
        state.withLock { $0.wake() }
        signal.send()
    }
}

public import Outbox
internal import ReliabilityCore
internal import Retry

/// Delivers the webhooks of an outbox to their endpoints.
///
/// ```swift
/// let sender = WebhookSender(outbox: outbox, endpoints: { id in try await directory.endpoint(id) }) { request in
///     try await http.post(request)
/// }
/// let message = try WebhookMessage("order.paid", payload: body)
/// try await outbox.commit(
///     [.put(StoreKey("orders", order.id), order.bytes, .never, if: .absent)],
///     sending: message.records(for: ["acme", "globex"])
/// )
/// await sender.run()
/// ```
///
/// - A message is delivered at least once to each endpoint. Each attempt has the same identity and the same bytes, and a
///   new time and new signatures. A receiver that remembers identities acts once.
/// - The status 2xx ends a delivery. Any other result is repeated by ``Configuration/schedule``. After the last attempt
///   the message is a dead letter with the code of its error. A redirect is a failure and is not followed.
/// - A `Retry-After` lengthens the wait to up to its double. The statuses 429, 502 and 504 delay all messages of the
///   endpoint for 60 to 120 seconds.
/// - The status 410 disables an endpoint. Its messages become dead letters.
/// - An endpoint that fails several times in a row is in quarantine. Its messages wait and lose no attempts. A single
///   attempt in each ``Configuration/probeInterval`` probes the endpoint, and its first success ends the quarantine.
/// - An endpoint has at most ``Configuration/permitsPerEndpoint`` attempts at the same time, so an endpoint that hangs
///   does not delay the others.
/// - Every attempt resolves the host again and checks all addresses. See ``WebhookAddressPolicy``.
///
/// Permits, failures in a row and the delivery log belong to the process. The store holds quarantines and disabled
/// endpoints. Use a separate queue for webhooks.
public final class WebhookSender: Sendable {
    /// The reason for which an endpoint was disabled.
    @nonexhaustive
    public enum DisablingReason: Hashable, Sendable {
        /// The endpoint answered with 410 or with another status of ``Configuration/disablingStatuses``.
        case gone
        /// The endpoint has only failed for ``Configuration/disableAfter``.
        case failed
    }

    /// The configuration of the sender.
    public let configuration: Configuration
    let dispatcher: WebhookDispatcher
    private let relay: OutboxRelay

    /// Creates a sender, which delivers messages while ``run()`` runs.
    ///
    /// - Parameters:
    ///   - configuration: The configuration. Defaults to the defaults of its initializer.
    ///   - outbox: The queue of the messages.
    ///   - clock: The clock of waits and time limits. Defaults to `ContinuousClock`.
    ///   - randomness: The source of jitter. Defaults to the system's generator.
    ///   - unixSeconds: Returns the time in Unix seconds. Defaults to the time of the system.
    ///   - observer: Receives every event. Defaults to no observer.
    ///   - resolve: Returns all addresses of a host. Defaults to the resolver of the system.
    ///   - endpoints: Returns the endpoint of an identity, or `nil` if there is none. The messages of an unknown endpoint
    ///     become dead letters.
    ///   - transport: Makes a request by the rules of ``WebhookRequest``.
    /// - Precondition: The configuration is valid (``Configuration/validate()``).
    public init(
        _ configuration: Configuration = Configuration(),
        outbox: OutboxQueue,
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        unixSeconds: (@Sendable () -> Int64)? = nil,
        observer: (@Sendable (WebhookSenderEvent) -> Void)? = nil,
        resolve: (@Sendable (String) async throws -> [WebhookAddress])? = nil,
        endpoints: @escaping @Sendable (String) async throws -> WebhookEndpoint?,
        transport: @escaping @Sendable (WebhookRequest) async throws -> WebhookResponse
    ) {
        requireValid(configuration.validate)
        self.configuration = configuration
        let events = EventSink(observer)
        let caller = WebhookCaller(
            configuration: configuration,
            timeSource: TimeSource(clock),
            unixSeconds: unixSeconds ?? { unixNanoseconds() / 1_000_000_000 },
            resolve: resolve ?? resolveBySystem,
            transport: transport
        )
        let dispatcher = WebhookDispatcher(
            caller,
            outbox: outbox,
            random: RandomSource(randomness),
            events: events,
            directory: endpoints
        )
        let report = { @Sendable (event: OutboxEvent) in
            if let event = WebhookSenderEvent(event) { events.emit(event) }
        }
        relay = OutboxRelay(
            OutboxRelay.Configuration(
                maxAttempts: configuration.schedule.count + 1,
                backoff: .none,
                maxRetryAfter: .seconds(1000 * 86_400),
                concurrency: configuration.concurrency,
                deliveryTimeout: .nanoseconds(
                    configuration.timeLimit.saturatingNanoseconds.saturatingMultiply(2).saturatingAdd(30_000_000_000)
                )
            ),
            queue: outbox,
            classify: WebhookDispatcher.decision,
            clock: clock,
            randomness: randomness,
            observer: events.hasObserver ? report : nil,
            handler: dispatcher.deliver
        )
        self.dispatcher = dispatcher
    }

    /// Delivers messages until the sender is drained, the task is cancelled, or the store has failed for good.
    public func run() async { await relay.run() }

    /// Stops claiming messages for good and waits for the current attempts up to the limit.
    ///
    /// Attempts that have not ended are cancelled, and their messages are delivered again.
    ///
    /// - Parameter limit: The longest wait.
    public func drain(within limit: Duration) async { await relay.drain(within: limit) }

    /// The state of the endpoints in this process.
    public var snapshot: Snapshot { dispatcher.states.snapshot }

    /// Returns the last attempts of an endpoint in this process, the oldest first.
    ///
    /// - Parameter endpointID: The identity of the endpoint.
    /// - Returns: The attempts within ``Configuration/logCapacity`` and ``Configuration/logAge``.
    public func attempts(of endpointID: String) -> [WebhookAttempt] {
        dispatcher.states.attempts(of: endpointID, unixSeconds: dispatcher.caller.unixSeconds())
    }

    /// Makes a single attempt, which is stored nowhere and has no effect on the state of the endpoint.
    ///
    /// The attempt also reaches an endpoint that is disabled or in quarantine.
    ///
    /// - Parameters:
    ///   - message: The message, with a type for tests such as `webhook.test`.
    ///   - endpoint: The endpoint.
    /// - Returns: The attempt.
    public func test(_ message: WebhookMessage, to endpoint: WebhookEndpoint) async -> WebhookAttempt {
        await dispatcher.caller.call(endpoint, message, number: 1).attempt
    }
}

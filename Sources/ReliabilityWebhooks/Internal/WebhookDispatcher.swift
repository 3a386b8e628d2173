internal import Outbox
internal import ReliabilityCore
internal import ReliabilityStore

/// Decides about each message of a sender: an attempt, a wait or the end.
final class WebhookDispatcher: Sendable {
    /// The wait after a failure that is no fault of the endpoint.
    private static let retryDelay = Duration.seconds(5)
    /// The least wait after a status that delays all messages of an endpoint, and after a timeout.
    private static let slowDelay = Duration.seconds(60)

    let caller: WebhookCaller
    let outbox: OutboxQueue
    let store: GuardedStore<any RecordStore>
    let states: EndpointStates
    let events: EventSink<WebhookSenderEvent>
    private let directory: @Sendable (String) async throws -> WebhookEndpoint?
    private let random: RandomSource

    init(
        _ caller: WebhookCaller,
        outbox: OutboxQueue,
        random: RandomSource,
        events: EventSink<WebhookSenderEvent>,
        directory: @escaping @Sendable (String) async throws -> WebhookEndpoint?
    ) {
        self.caller = caller
        self.outbox = outbox
        self.random = random
        self.events = events
        self.directory = directory
        states = EndpointStates(caller.configuration, caller.timeSource, random)
        store = GuardedStore(
            outbox.store,
            canStall: outbox.store.capabilities.canStall,
            timeout: outbox.storeFailure.timeout,
            timeSource: caller.timeSource,
            events: EventSink<OutboxEvent>(nil)
        )
    }

    private var configuration: WebhookSender.Configuration { caller.configuration }

    /// Returns the decision about an error of ``deliver(_:)``.
    @Sendable static func decision(_ error: any Error) -> DeliveryDecision {
        (error as? WebhookDeliveryError)?.decision ?? .postpone(slowDelay)
    }

    /// Delivers a message, or throws an error with the decision about the message.
    func deliver(_ delivery: OutboxDelivery) async throws {
        guard let (message, id) = WebhookMessage.read(delivery.message) else {
            throw WebhookDeliveryError(.invalidMessage, .deadLetter)
        }
        let entry = try await entry(of: id)
        if case .disabled(_, let reason)? = entry.mark {
            throw WebhookDeliveryError(reason == .gone ? .gone : .disabled, .deadLetter)
        }
        let endpoint: WebhookEndpoint?
        do { endpoint = try await directory(id) } catch {
            throw WebhookDeliveryError(.directoryFailed, .postpone(Self.slowDelay))
        }
        guard let endpoint else { throw WebhookDeliveryError(.unknownEndpoint, .deadLetter) }
        let isProbe: Bool
        switch states.admit(id, isQuarantined: entry.isQuarantined) {
        case .wait(let wait): throw WebhookDeliveryError(.waiting, .postpone(wait))
        case .attempt(let isProbing): isProbe = isProbing
        }
        let exchange = await caller.call(endpoint, message, number: delivery.attempt) { [states] in states.release(id) }
        guard let error = exchange.attempt.error else {
            states.record(exchange.attempt, of: id)
            return await recordSuccess(delivery.message, entry, exchange)
        }
        if Task.isCancelled || error.reason == .invalidMessage {
            states.cancel(id, isProbe: isProbe)
            throw Task.isCancelled ? CancellationError() : WebhookDeliveryError(.invalidMessage, .deadLetter)
        }
        states.record(exchange.attempt, of: id)
        throw await recordFailure(error, delivery, entry, exchange, isProbe: isProbe)
    }

    /// Returns the mark of an endpoint.
    private func entry(of id: String) async throws(WebhookDeliveryError) -> MarkedEndpoint {
        let key = MarkedEndpoint.key(id, in: outbox.name)
        do throws(StoreError) {
            let entry = try await store.read { store throws(StoreError) in try await store.get(key) }
            return MarkedEndpoint(id: id, key: key, entry)
        } catch {
            throw WebhookDeliveryError(.directoryFailed, .postpone(error.retryAfter ?? Self.retryDelay))
        }
    }

    private func recordSuccess(_ record: OutboxMessage, _ entry: MarkedEndpoint, _ exchange: WebhookCaller.Exchange)
        async
    {
        // The mark ends first, so that no other message begins the quarantine again.
        if let end = entry.end { _ = try? await outbox.tryCommit([end], sending: []) }
        if states.succeed(entry.id, after: exchange.attempt.duration) { events.emit(.restored(endpoint: entry.id)) }
        if let retention = configuration.replayRetention {
            // A message is not delivered again because the store could not keep the message.
            let kept = KeptMessage(time: exchange.attempt.unixSeconds, message: record)
            let key = KeptMessage.key(record.id, of: entry.id, in: outbox.name)
            _ = try? await outbox.tryCommit([.put(key, kept.encoded, .after(retention), if: .any)], sending: [])
        }
    }

    /// Records a failure and returns the error with the decision about the message.
    private func recordFailure(
        _ error: WebhookDeliveryError,
        _ delivery: OutboxDelivery,
        _ entry: MarkedEndpoint,
        _ exchange: WebhookCaller.Exchange,
        isProbe: Bool
    ) async -> WebhookDeliveryError {
        if case .addressRejected(let rejection) = error.reason {
            events.emit(.addressRejected(endpoint: entry.id, rejection))
        }
        let now = exchange.attempt.unixSeconds
        var slow: Duration?
        if let status = exchange.attempt.status, [429, 502, 504].contains(status) {
            slow = RetryAfter.wait(exchange.retryAfter, scheduled: Self.slowDelay, unixSeconds: now)
        }
        let beginsQuarantine = states.fail(entry.id, isProbe: isProbe, slow: slow)
        if beginsQuarantine {
            events.emit(.quarantined(endpoint: entry.id, probeAfter: configuration.probeInterval))
        }
        let next: EndpointMark
        if error.reason == .gone {
            next = .disabled(at: now, .gone)
        } else {
            let isQuarantined = beginsQuarantine || isProbe
            next = entry.afterFailure(at: now, disableAfter: configuration.disableAfter, isQuarantined: isQuarantined)
        }
        if next != entry.mark {
            let isStored = await store(next, for: entry)
            if isStored { report(next, of: entry) }
            if case .disabled(_, let reason) = next {
                let error = WebhookDeliveryError(reason == .gone ? .gone : .disabled, .deadLetter)
                return isStored ? error : WebhookDeliveryError(error.reason, .postpone(Self.retryDelay))
            }
        }
        if isProbe { return WebhookDeliveryError(error.reason, .postpone(states.waitAfterProbe(entry.id))) }
        var scheduled = wait(afterAttempt: delivery.attempt)
        if slow != nil || error.reason == .timedOut { scheduled = max(scheduled, Self.slowDelay) }
        let wait = RetryAfter.wait(exchange.retryAfter, scheduled: scheduled, unixSeconds: now)
        return WebhookDeliveryError(error.reason, .retryAfter(wait))
    }

    /// Stores a mark unless another attempt has changed the mark, and returns whether the store has the mark.
    private func store(_ mark: EndpointMark, for entry: MarkedEndpoint) async -> Bool {
        var condition = entry.version.map { WriteCondition.version($0) } ?? .absent
        // A success of another attempt ends the time of only failures, and does not withdraw the answer 410.
        if case .disabled(_, .gone) = mark { condition = .any }
        let write = StoreWrite.put(entry.key, mark.encoded, .never, if: condition)
        guard case .committed? = try? await outbox.tryCommit([write], sending: []) else { return false }
        return true
    }

    private func report(_ mark: EndpointMark, of entry: MarkedEndpoint) {
        switch mark {
        case .disabled(_, let reason): events.emit(.disabled(endpoint: entry.id, reason))
        case .failing(let since, _, true):
            if !entry.isReported { events.emit(.failing(endpoint: entry.id, since: since)) }
        case .failing: break
        }
    }

    private func wait(afterAttempt attempt: Int) -> Duration {
        let wait = configuration.schedule[min(max(attempt, 1), configuration.schedule.count) - 1]
        let nanoseconds = wait.saturatingNanoseconds
        return .nanoseconds(nanoseconds - nanoseconds / 5 + random.next(upTo: nanoseconds / 5 * 2))
    }
}

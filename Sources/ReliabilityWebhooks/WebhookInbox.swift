internal import ErrorContract
public import Outbox
internal import ReliabilityCore
internal import ReliabilityStore

/// Stores each webhook of a provider once and answers the provider.
///
/// ```swift
/// let verifier = WebhookVerifier(.init(.stripe, secrets: [.init("current", secret)]))
/// let inbox = WebhookInbox(.init("stripe", retention: .seconds(31 * 86_400)), verifier, outbox: outbox)
/// let answer = await inbox.accept(headers: headers, body: body)
/// ```
///
/// A message is stored in one commit together with the mark that the message was seen. The answer follows the commit. A
/// crash before the commit leaves nothing, and the provider repeats the delivery. A crash after the commit makes the
/// repeated delivery a duplicate. An `OutboxRelay` of the queue handles the stored messages at least once:
///
/// ```swift
/// let relay = OutboxRelay(queue: outbox) { delivery in
///     guard let event = WebhookEvent(delivery.message) else { return }
///     try await billing.apply(event)
/// }
/// ```
///
/// | delivery | status |
/// |---|---|
/// | stored, delivered again, or of a type that is not accepted | 204 |
/// | the challenge of a provider that registers the address | 200 with the challenge |
/// | not authentic or not recent | 401 |
/// | the identity of an earlier message with other bytes | 409 |
/// | larger than the limit of the verifier or of the store | 413 |
/// | the store is down or its outcome is unknown | 503 with `retry-after` |
///
/// The time limit of the queue's store limits the time of an answer. Providers wait for 1 to 30 seconds.
public struct WebhookInbox: Sendable {
    private static let keyspace: Keyspace = "webhooks"

    /// The source, the types and the retention.
    public let configuration: Configuration
    /// The verifier of the messages.
    public let verifier: WebhookVerifier
    private let outbox: OutboxQueue
    private let events: EventSink<WebhookInboxEvent>

    /// Creates an inbox.
    ///
    /// - Parameters:
    ///   - configuration: The source, the types and the retention.
    ///   - verifier: The verifier of the messages.
    ///   - outbox: The queue that stores the messages.
    ///   - observer: Receives the events. Defaults to no observer.
    /// - Precondition: The configuration is valid for the verifier. See ``Configuration/validate(for:)``.
    public init(
        _ configuration: Configuration,
        _ verifier: WebhookVerifier,
        outbox: OutboxQueue,
        observer: (@Sendable (WebhookInboxEvent) -> Void)? = nil
    ) {
        let verifying = verifier.configuration
        requireValid { () throws(ConfigurationError) in try configuration.validate(for: verifying) }
        self.configuration = configuration
        self.verifier = verifier
        self.outbox = outbox
        events = EventSink(observer)
    }

    /// Verifies and stores a message, and returns the answer to the provider.
    ///
    /// - Parameters:
    ///   - headers: The header fields in the order of the request. Repeated fields must not be joined.
    ///   - body: The body as received.
    /// - Returns: The answer.
    public func accept(headers: [(name: String, value: String)], body: [UInt8]) async -> WebhookAnswer {
        let event: WebhookEvent
        do throws(WebhookError) { event = try verifier.verify(headers: headers, body: body) } catch {
            events.emit(.rejected(error))
            return answer(.rejected, error)
        }
        if let challenge = event.challenge {
            events.emit(.ignored(id: event.id, type: event.type))
            return WebhookAnswer(
                outcome: .challenged,
                status: 200,
                headerFields: [
                    ("content-type", "text/plain; charset=utf-8"), ("x-content-type-options", "nosniff"),
                ],
                body: Array(challenge.utf8)
            )
        }
        if let types = configuration.types, !types.contains(where: { $0.utf8.elementsEqual((event.type ?? "").utf8) }) {
            events.emit(.ignored(id: event.id, type: event.type))
            return success(.ignored)
        }
        return await store(event)
    }

    private func store(_ event: WebhookEvent) async -> WebhookAnswer {
        let digest = digestText(of: [Array(configuration.source.utf8), Array(event.id.utf8)])
        let key = StoreKey(Self.keyspace, configuration.source, digest)
        let verifying = verifier.configuration
        let mark = mark(of: event, verifying.scheme)
        // A reload of the verifier may have lengthened the time for which a message is acceptable.
        let retention = max(configuration.retention, Configuration.leastRetention(for: verifying))
        let message = event.message(id: "webhook:\(digest)", topic: configuration.source)
        do throws(StoreError) {
            let write = StoreWrite.put(key, mark, .after(retention), if: .absent)
            switch try await outbox.tryCommit([write], sending: [message]) {
            case .committed:
                events.emit(.accepted(id: event.id, type: event.type, secretName: event.secretName))
                return success(.accepted)
            case .conflict(_, let current) where current == nil || current?.value == mark:
                events.emit(.duplicate(id: event.id))
                return success(.duplicate)
            case .taken:
                // The mark has ended, and the message still waits for its delivery or a redrive.
                events.emit(.duplicate(id: event.id))
                return success(.duplicate)
            case .conflict:
                events.emit(.conflicting(id: event.id))
                return answer(.conflicting, OutboxConflict(.write(index: 0, current: nil)))
            }
        } catch {
            if let error = tooLarge(event, message) {
                events.emit(.rejected(error))
                return answer(.rejected, error)
            }
            events.emit(.unavailable(id: event.id, error))
            return unavailable(error)
        }
    }

    /// Returns the error of a message that the store can never hold, or `nil` for any other message.
    ///
    /// The provider would repeat such a message until its last attempt if the store counted as down.
    private func tooLarge(_ event: WebhookEvent, _ message: OutboxMessage) -> WebhookError? {
        let excess = outbox.record(for: message).payload.count - outbox.store.capabilities.maxValueBytes
        return excess > 0 ? WebhookError(.tooLarge(limit: max(0, event.body.count - excess))) : nil
    }

    /// The value that marks a message as seen.
    ///
    /// The bytes are compared only if the provider repeats the same bytes.
    private func mark(of event: WebhookEvent, _ scheme: WebhookScheme) -> [UInt8] {
        guard scheme.repeatsBytes else { return [1] }
        return Array(digestText(of: [Array((event.type ?? "").utf8), event.body]).utf8)
    }

    private func success(_ outcome: WebhookAnswer.Outcome) -> WebhookAnswer {
        WebhookAnswer(outcome: outcome, status: 204, headerFields: [], body: [])
    }

    private func answer(_ outcome: WebhookAnswer.Outcome, _ error: any ReliabilityError) -> WebhookAnswer {
        let response = ErrorResponse(error)
        return WebhookAnswer(
            outcome: outcome,
            status: response.status,
            headerFields: response.headerFields,
            body: response.jsonBody()
        )
    }

    private func unavailable(_ error: StoreError) -> WebhookAnswer {
        let response = ErrorResponse(WebhookUnavailableError(underlyingError: error))
        return WebhookAnswer(
            outcome: .unavailable,
            status: response.status,
            headerFields: response.headerFields,
            body: response.jsonBody()
        )
    }
}

/// The error of a message that could not be stored.
struct WebhookUnavailableError: ReliabilityError {
    let underlyingError: (any Error)?

    var code: ErrorCode { "webhook.unavailable" }
    var category: ErrorCategory { .unavailable }
    var message: String { Self.unavailableMessage }
    var retryAfter: Duration? { (underlyingError as? StoreError)?.retryAfter ?? .seconds(5) }
}

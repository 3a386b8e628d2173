public import Outbox
public import ReliabilityCore

/// An event of a ``WebhookSender``.
///
/// No event contains a secret, a URL or a body.
@nonexhaustive
public enum WebhookSenderEvent: Sendable, ObservedEvent {
    /// An endpoint accepted a message.
    case delivered(endpoint: String, id: String, attempt: Int)
    /// An attempt failed. Another attempt follows after the wait.
    case retrying(endpoint: String, id: String, attempt: Int, after: Duration, error: any Error)
    /// A message became a dead letter for an endpoint.
    case dead(endpoint: String, id: String, attempt: Int, error: any Error)
    /// The address policy rejected the URL or an address of an endpoint. No byte was sent.
    case addressRejected(endpoint: String, WebhookAddressPolicy.Rejection)
    /// An endpoint failed several times in a row. Its messages wait, and single attempts probe the endpoint.
    case quarantined(endpoint: String, probeAfter: Duration)
    /// An endpoint in quarantine accepted a message. Its messages are delivered again.
    case restored(endpoint: String)
    /// An endpoint has only failed for half of the time after which the endpoint is disabled.
    case failing(endpoint: String, since: Int64)
    /// An endpoint was disabled. Its messages become dead letters.
    case disabled(endpoint: String, WebhookSender.DisablingReason)
    /// Another event of the relay, such as the failure of the store.
    case outbox(OutboxEvent)
    /// Events were dropped before the next event because the observer was too slow.
    case missed(count: Int)

    /// Creates the event for an event of the relay, or returns `nil` for an event without news.
    init?(_ event: OutboxEvent) {
        switch event {
        case .delivered(let record, let attempt):
            let (id, endpoint) = Self.split(record)
            self = .delivered(endpoint: endpoint, id: id, attempt: attempt)
        case .retrying(let record, let attempt, let wait, let error):
            let (id, endpoint) = Self.split(record)
            self = .retrying(endpoint: endpoint, id: id, attempt: attempt, after: wait, error: error)
        case .deadLettered(let record, let attempt, let error):
            let (id, endpoint) = Self.split(record)
            self = .dead(endpoint: endpoint, id: id, attempt: attempt, error: error)
        case .postponed(_, _, _, let error as WebhookDeliveryError) where error.reason == .waiting: return nil
        case .missed(let count): self = .missed(count: count)
        default: self = .outbox(event)
        }
    }

    /// Returns the identities of the message and of the endpoint of a record.
    private static func split(_ record: String) -> (id: String, endpoint: String) {
        // A mark at the beginning of the endpoint's identity would make one character with the colon.
        let scalars = record.unicodeScalars
        let id = scalars.prefix { $0 != ":" }
        return (String(id), String(scalars.dropFirst(id.count + 1)))
    }
}

public import ReliabilityCore
public import ReliabilityStore

/// An event of a ``WebhookInbox``.
///
/// No event contains a secret, a signature, a body or a value of a header field, except the identity and the type of a
/// verified message.
@nonexhaustive
public enum WebhookInboxEvent: Sendable, ObservedEvent {
    /// A message was stored. The name is that of the secret that verified the message.
    case accepted(id: String, type: String?, secretName: String)
    /// A message was delivered again, and nothing was stored.
    case duplicate(id: String)
    /// A message has a type that the inbox does not accept. Nothing was stored, and the provider got a success.
    case ignored(id: String, type: String?)
    /// A message has the identity of an earlier message and other bytes. The earlier message stays.
    case conflicting(id: String)
    /// A message was rejected.
    case rejected(WebhookError)
    /// A verified message could not be stored, and the provider was asked to deliver the message again.
    case unavailable(id: String, StoreError)
    /// Events were dropped before the next event because the observer was too slow.
    case missed(count: Int)
}

internal import ReliabilityCore
public import ReliabilityStore

/// An event of an outbox for an observer.
@nonexhaustive
public enum OutboxEvent: Sendable, StoreObservedEvent {
    /// A message was delivered and settled.
    case delivered(id: String, attempt: Int)
    /// A delivery failed. Another delivery follows after the wait.
    case retrying(id: String, attempt: Int, after: Duration, error: any Error)
    /// A delivery failed without counting as an attempt. Another delivery follows after the wait.
    case postponed(id: String, attempt: Int, after: Duration, error: any Error)
    /// A message became a dead letter.
    ///
    /// The deliveries failed as often as allowed, or the message can never be delivered. The store keeps the error's
    /// code with the message.
    case deadLettered(id: String, attempt: Int, error: any Error)
    /// The last delivery of a message was never settled, so the next delivery is isolated.
    ///
    /// The last delivery may have ended the process. `attempts` is the number of deliveries that have begun. The next
    /// delivery begins after the wait, while the relay makes no other delivery. Deliveries of hanging handlers
    /// (``overrun(id:attempt:)``) do not delay it. Another crash then affects no other message.
    case isolated(id: String, attempts: Int, after: Duration)
    /// A message was given back because the relay stops. The message is due again and the attempt does not count.
    case released(id: String)
    /// A cancelled handler has not returned within the grace period.
    ///
    /// The message stays leased. The delivery counts towards ``OutboxRelay/Configuration/concurrency`` until the
    /// handler returns. Once `concurrency` handlers hang, the relay delivers nothing.
    case overrun(id: String, attempt: Int)
    /// A relay that stops abandoned a handler that had not returned.
    ///
    /// The message is delivered again when its lease has ended, or when the store is opened again.
    case abandoned(id: String, attempt: Int)
    /// The relay lost the lease of a message during its delivery. Another relay delivers the message again.
    case leaseLost(id: String)
    /// The store failed for good before the result of a delivery was stored. The message is delivered again.
    case notSettled(id: String, error: StoreError)
    /// A dead letter was removed after ``OutboxRelay/Configuration/deadLetterRetention``.
    ///
    /// The reason is the code with which the message became a dead letter.
    case removed(id: String, reason: String)
    /// The store failed. Commits fail and relays wait until the store has recovered.
    case storeDown(StoreError)
    /// The store answers again.
    case storeRecovered
    /// The store was closed or has failed for good. The relay stops and ``OutboxRelay/run()`` returns.
    case stopped(StoreError)
    /// Events were dropped before the next event because the observer was too slow.
    case missed(count: Int)
}

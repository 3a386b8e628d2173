public import ReliabilityCore
public import ReliabilityStore

/// What a relay does, for an observer.
///
/// The set may grow.
@nonexhaustive
public enum OutboxEvent: Sendable, ObservedEvent {
    /// A message was delivered, and will not be again.
    case delivered(id: String, attempt: Int)
    /// A delivery failed, and there is another after the wait.
    case retrying(id: String, attempt: Int, after: Duration, error: any Error)
    /// A message is dead: its deliveries failed as often as is allowed, or it can never be delivered.
    ///
    /// The error's code is stored with it.
    case dead(id: String, attempt: Int, error: any Error)
    /// Nobody settled the last delivery of a message, which may have ended the process: the next is made alone.
    ///
    /// So many of its deliveries have begun. The next begins after the wait, when no other delivery of the relay is under
    /// way but for those of handlers that hang (``overrun(id:attempt:)``), so that another crash takes no other message
    /// along.
    case isolated(id: String, attempts: Int, after: Duration)
    /// A delivery was cut short because the relay stops; the message is due again, and the attempt not counted.
    case released(id: String)
    /// A handler was cancelled and has not returned within the grace: it ignores its cancellation.
    ///
    /// Its message stays leased, and it keeps its place among `concurrency` deliveries until it returns. Once as many
    /// handlers hang as there are places, the relay delivers nothing.
    case overrun(id: String, attempt: Int)
    /// A relay that stops has walked away from a handler that does not return.
    ///
    /// When its lease ends, or the store is opened anew, the message is delivered again.
    case abandoned(id: String, attempt: Int)
    /// The relay lost its hold of a message while it delivered it: another delivers it again.
    case leaseLost(id: String)
    /// The store failed for good before it took what became of a delivery; the message is delivered again.
    case notSettled(id: String, error: StoreError)
    /// A dead message was removed, because it had been dead for longer than the configured retention.
    ///
    /// The reason is that of its death.
    case removed(id: String, reason: String)
    /// The store could not be asked for messages; the relay asks again after the wait.
    case storeUnavailable(StoreError, retryAfter: Duration)
    /// The store was closed or has failed for good: the relay takes no more messages, and ``OutboxRelay/run()`` returns.
    case stopped(StoreError)
    /// The observer was too slow: so many events were dropped before the next one.
    case missed(count: Int)
}

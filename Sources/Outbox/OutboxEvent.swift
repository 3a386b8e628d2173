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
    /// A delivery was cut short because the relay was cancelled; the message is due again, and the attempt not counted.
    case released(id: String)
    /// The relay lost its hold of a message while it delivered it: another delivers it again.
    case leaseLost(id: String)
    /// What became of a delivery could not be stored; when its lease ends, the message is delivered again.
    case notSettled(id: String, error: StoreError)
    /// The store could not be asked for messages; the relay asks again after the wait.
    case storeUnavailable(StoreError, retryAfter: Duration)
    /// The observer was too slow: so many events were dropped before the next one.
    case missed(count: Int)
}

/// The result of enqueueing a record.
public enum EnqueueResult: Hashable, Sendable {
    /// The record is in the queue now.
    case enqueued
    /// The record was already pending with the same payload. Nothing changed.
    case duplicate
    /// Another record has the identity, and the new record was not stored.
    ///
    /// The other record is a dead letter or has another payload. The new record is never delivered. A dead letter keeps
    /// its identity until the dead letter is removed or is redriven and then removed.
    case taken(by: RecordState)
}

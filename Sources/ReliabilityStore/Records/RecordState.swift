/// The state of a record.
public enum RecordState: Hashable, Sendable {
    /// The record is due now or later, is leased or is held back.
    case pending
    /// The record is a dead letter and is not delivered.
    case deadLetter
}

/// The numbers of records in a queue.
public struct RecordCounts: Hashable, Sendable {
    /// The number of records that are due now or later, are leased or are held back.
    public let pending: Int
    /// The number of dead letters.
    public let deadLetters: Int

    /// Creates counts.
    public init(pending: Int, deadLetters: Int) {
        self.pending = pending
        self.deadLetters = deadLetters
    }
}

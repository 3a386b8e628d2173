/// A record at the time of a read.
public struct RecordInfo: Hashable, Sendable {
    /// The record's identity in its queue.
    public let id: String
    /// The content.
    public let payload: [UInt8]
    /// The present version.
    ///
    /// For a dead letter, the version is the token of a redrive or a removal.
    public let version: StoreVersion
    /// The number of deliveries that count as attempts.
    public let attempts: Int
    /// A Boolean value that indicates whether a worker holds the record or the record is held back.
    ///
    /// The value is `false` as soon as the lease or the wait has ended.
    public let isLeased: Bool
    /// The time until the record is due or its lease ends, negative if the record is already due.
    ///
    /// A negative value is the time since the record became due. For a dead letter, the value is zero or the time since
    /// the record became a dead letter, as a negative duration.
    public let due: Duration
    /// The reason of a dead letter, or `nil` if the record is pending.
    public let deadLetterReason: String?

    /// Creates a description of a record.
    public init(
        id: String,
        payload: [UInt8],
        version: StoreVersion,
        attempts: Int,
        isLeased: Bool,
        due: Duration,
        deadLetterReason: String?
    ) {
        self.id = id
        self.payload = payload
        self.version = version
        self.attempts = attempts
        self.isLeased = isLeased
        self.due = due
        self.deadLetterReason = deadLetterReason
    }
}

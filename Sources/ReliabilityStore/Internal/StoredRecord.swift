/// A record in a store.
package struct StoredRecord: Hashable, Sendable {
    package var queue: String
    package var id: String
    package var payload: [UInt8]
    package var version: UInt64
    package var attempts: Int
    /// The due time, the end of the lease or the time of the dead-lettering in Unix milliseconds of the store's clock.
    package var dueAt: Int64
    /// A Boolean value that indicates whether the record was claimed and not settled since or is held back.
    ///
    /// The value stays `true` after the lease has ended.
    package var isLeased: Bool
    package var deadLetterReason: String?

    package init(
        queue: String,
        id: String,
        payload: [UInt8],
        version: UInt64,
        attempts: Int,
        dueAt: Int64,
        isLeased: Bool,
        deadLetterReason: String?
    ) {
        self.queue = queue
        self.id = id
        self.payload = payload
        self.version = version
        self.attempts = attempts
        self.dueAt = dueAt
        self.isLeased = isLeased
        self.deadLetterReason = deadLetterReason
    }

    var byteCount: Int { queue.utf8.count + id.utf8.count + payload.count + (deadLetterReason?.utf8.count ?? 0) + 64 }
}

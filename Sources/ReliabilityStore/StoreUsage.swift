/// A snapshot of the content and the limits of a store for a dashboard or an alert.
///
/// A write that would exceed a limit is rejected with ``StoreError/Reason/capacityExceeded``. An expired entry counts
/// until its memory is reclaimed. Each call reclaims a few expired entries. Before a store rejects a write, the store
/// reclaims all expired entries.
public struct StoreUsage: Hashable, Sendable {
    /// The number of entries.
    public let entries: Int
    /// The number of records in all queues, including dead letters.
    public let records: Int
    /// The counted bytes of the content.
    ///
    /// An entry counts its key, its value and 64 bytes. A record counts its queue's name, its id, its payload, the
    /// reason of a dead letter and 64 bytes.
    public let bytes: Int
    /// The largest number of entries and records together.
    public let maxEntries: Int
    /// The largest number of counted bytes.
    public let maxBytes: Int

    /// Creates a snapshot.
    public init(entries: Int, records: Int, bytes: Int, maxEntries: Int, maxBytes: Int) {
        self.entries = entries
        self.records = records
        self.bytes = bytes
        self.maxEntries = maxEntries
        self.maxBytes = maxBytes
    }

    /// The larger of the used fractions of the two limits: 0 for an empty store and 1 for a full store.
    ///
    /// The value can exceed 1, because a full store still accepts the reasons of dead letters.
    public var fraction: Double {
        max(
            (Double(entries) + Double(records)) / Double(maxEntries),
            Double(bytes) / Double(maxBytes)
        )
    }
}

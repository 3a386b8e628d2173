/// The figures of a store's content, beside its limits.
///
/// A snapshot for a dashboard or an alert: past its limits a store rejects writes that add to it, with
/// ``StoreError/Reason/capacityExceeded``. An entry that has expired counts until it is freed, which later calls do bit
/// by bit, and before any write is rejected.
public struct StoreUsage: Hashable, Sendable {
    /// The number of entries.
    public let entries: Int
    /// The number of records in all queues, dead ones included.
    public let records: Int
    /// The number of bytes in keys, values and payloads, with 64 counted for each entry and record.
    public let bytes: Int
    /// The most entries and records together.
    public let maximumEntries: Int
    /// The most bytes.
    public let maximumBytes: Int

    /// Creates figures.
    public init(entries: Int, records: Int, bytes: Int, maximumEntries: Int, maximumBytes: Int) {
        self.entries = entries
        self.records = records
        self.bytes = bytes
        self.maximumEntries = maximumEntries
        self.maximumBytes = maximumBytes
    }

    /// The share of the limit that is nearer to being reached: 0 for an empty store, 1 for a full one.
    public var fraction: Double {
        max(
            (Double(entries) + Double(records)) / Double(maximumEntries),
            Double(bytes) / Double(maximumBytes)
        )
    }
}

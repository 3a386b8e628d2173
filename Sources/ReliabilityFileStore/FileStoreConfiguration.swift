extension FileStore {
    /// How much a store may hold.
    ///
    /// A store is held in memory as a whole. It never evicts: a claim that vanished would be a payment made twice.
    public struct Configuration: Hashable, Sendable {
        /// The most entries and records.
        public let maximumEntries: Int
        /// The most bytes in keys, values and payloads, with 64 counted for each entry.
        public let maximumBytes: Int

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - maximumEntries: The most entries and records.
        ///   - maximumBytes: The most bytes in keys, values and payloads, with 64 counted for each entry.
        /// - Precondition: Both limits are at least 1.
        public init(maximumEntries: Int = 1_000_000, maximumBytes: Int = 256 << 20) {
            precondition(maximumEntries >= 1, "maximumEntries must be at least 1 (is \(maximumEntries))")
            precondition(maximumBytes >= 1, "maximumBytes must be at least 1 (is \(maximumBytes))")
            self.maximumEntries = maximumEntries
            self.maximumBytes = maximumBytes
        }
    }
}

internal import ReliabilityCore

extension FileStore {
    /// The limits of a store, and of what its opening believes about the wall clock.
    ///
    /// A store is held in memory as a whole. It never evicts: a claim that vanished would be a payment made twice.
    public struct Configuration: Hashable, Sendable {
        /// The most entries and records.
        public let maximumEntries: Int
        /// The most bytes in keys, values and payloads, with 64 counted for each entry.
        public let maximumBytes: Int
        /// The farthest that the wall clock may be ahead of the log's last time for an opening to believe it.
        ///
        /// Past that, either the store was not open for so long or the clock is wrong, and a wrong clock would end all
        /// that expires. Nothing expires then: the store's clock goes on from the log's last time, at every opening until
        /// one is made with a larger bound, and ``RecoveryReport/wallClockOffset`` says how far the wall clock is ahead.
        /// Defaults to seven days.
        public let maximumClockJump: Duration

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - maximumEntries: The most entries and records.
        ///   - maximumBytes: The most bytes in keys, values and payloads, with 64 counted for each entry.
        ///   - maximumClockJump: The farthest that the wall clock may be ahead of the log's last time for an opening to
        ///     believe it.
        /// - Precondition: Both limits are at least 1, and `maximumClockJump` is not negative.
        public init(
            maximumEntries: Int = 1_000_000,
            maximumBytes: Int = 256 << 20,
            maximumClockJump: Duration = .seconds(7 * 86_400)
        ) {
            requireValid(maximumEntries >= 1, "maximumEntries must be at least 1 (is \(maximumEntries))")
            requireValid(maximumBytes >= 1, "maximumBytes must be at least 1 (is \(maximumBytes))")
            requireValid(maximumClockJump >= .zero, "maximumClockJump must not be negative (is \(maximumClockJump))")
            self.maximumEntries = maximumEntries
            self.maximumBytes = maximumBytes
            self.maximumClockJump = maximumClockJump
        }
    }
}

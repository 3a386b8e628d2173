public import ReliabilityCore

extension FileStore {
    /// The limits of a store and the largest jump of the wall clock that an opening accepts.
    ///
    /// The store keeps its whole content in memory and never evicts an entry. An evicted claim could let a payment
    /// happen twice.
    public struct Configuration: Hashable, Sendable {
        /// The maximum number of entries and records together.
        public var maxEntries: Int
        /// The maximum number of bytes in keys, values and records, plus 64 bytes for each entry or record.
        public var maxBytes: Int
        /// The largest lead of the wall clock over the log's last time that an opening accepts.
        ///
        /// A larger lead means that the store was closed for a long time or that the wall clock is wrong. A wrong
        /// clock would expire every entry with an expiry. The opening then continues from the log's last time, and
        /// nothing expires. ``RecoveryReport/wallClockOffset`` reports the lead. Every later opening does the same,
        /// until an opening with a larger bound accepts the wall clock.
        ///
        /// Defaults to seven days.
        public var maxClockJump: Duration

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - maxEntries: The maximum number of entries and records together; at least 1. Defaults to 1,000,000.
        ///   - maxBytes: The maximum number of bytes in keys, values and records, plus 64 bytes for each entry or
        ///     record; at least 1. Defaults to 256 MiB.
        ///   - maxClockJump: The largest accepted lead of the wall clock over the log's last time; not negative. Defaults
        ///     to seven days.
        public init(
            maxEntries: Int = 1_000_000,
            maxBytes: Int = 256 << 20,
            maxClockJump: Duration = .seconds(7 * 86_400)
        ) {
            self.maxEntries = maxEntries
            self.maxBytes = maxBytes
            self.maxClockJump = maxClockJump
        }

        /// A million entries and records, 256 MiB, and a clock jump of seven days.
        public static let standard = Self()

        /// Checks every field.
        ///
        /// - Throws: `ConfigurationError` with every problem.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("file store")
            problems.require(maxEntries >= 1, "maxEntries must be at least 1 (is \(maxEntries))")
            problems.require(maxBytes >= 1, "maxBytes must be at least 1 (is \(maxBytes))")
            problems.require(maxClockJump >= .zero, "maxClockJump must not be negative (is \(maxClockJump))")
            try problems.throwIfAny()
        }
    }
}

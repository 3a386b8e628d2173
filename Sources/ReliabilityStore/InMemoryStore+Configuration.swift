public import ReliabilityCore

extension InMemoryStore {
    /// The limits of an ``InMemoryStore``.
    public struct Configuration: Hashable, Sendable {
        /// The largest number of entries and records together; at least 1.
        public var maxEntries: Int
        /// The largest content in bytes, counted as in ``StoreUsage/bytes``; at least 1.
        public var maxBytes: Int

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - maxEntries: The largest number of entries and records together. Defaults to 1,000,000.
        ///   - maxBytes: The largest content in bytes. Defaults to 256 MiB.
        public init(maxEntries: Int = 1_000_000, maxBytes: Int = 256 << 20) {
            self.maxEntries = maxEntries
            self.maxBytes = maxBytes
        }

        /// A million entries and records, and 256 MiB.
        public static let standard = Self()

        /// Checks every field.
        ///
        /// - Throws: `ConfigurationError` with every problem.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("in-memory store")
            problems.require(maxEntries >= 1, "maxEntries must be at least 1 (is \(maxEntries))")
            problems.require(maxBytes >= 1, "maxBytes must be at least 1 (is \(maxBytes))")
            try problems.throwIfAny()
        }
    }
}

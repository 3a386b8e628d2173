public import ReliabilityStore

extension RedisStore {
    /// The settings of a store on a Redis or Valkey server.
    public struct Configuration: Sendable {
        /// The name of the store, which all of its keys begin with.
        ///
        /// Processes with the same name on the same server share the store. The name has 1 to 64 bytes without braces.
        public var name: String
        /// The keyspaces whose entries cannot be scanned.
        ///
        /// An entry in such a keyspace needs less memory. Choose keyspaces of rate limits and of deduplication.
        public var keyspacesWithoutScan: [Keyspace]

        /// Creates a configuration.
        public init(name: String, keyspacesWithoutScan: [Keyspace] = []) {
            self.name = name
            self.keyspacesWithoutScan = keyspacesWithoutScan
        }
    }
}

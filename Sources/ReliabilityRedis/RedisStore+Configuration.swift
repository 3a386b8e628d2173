public import ReliabilityCore
public import ReliabilityStore

extension RedisStore {
    /// The settings of a store on a Redis or Valkey server.
    public struct Configuration: Hashable, Sendable {
        /// The name of the store, which all of its keys begin with.
        ///
        /// Processes with the same name on the same database share the store. The name has 1 to 64 bytes without braces
        /// and control characters.
        public var name: String

        /// The keyspaces whose entries cannot be scanned.
        ///
        /// Defaults to none.
        ///
        /// An entry in such a keyspace needs less memory. Choose keyspaces of rate limits and of deduplication. All
        /// processes must have the same value.
        public var keyspacesWithoutScan: Set<Keyspace>

        /// The longest duration of a command, positive.
        ///
        /// Defaults to 3 seconds.
        ///
        /// The deadline of the caller shortens the duration.
        public var commandTimeout: Duration

        /// The durability that the server must have, or `nil` to read the durability from the server at the opening.
        ///
        /// With a value, the store opens although the server cannot be reached, and connects later. A server that
        /// states a lower durability is rejected. Some services do not allow clients to read `appendfsync`. The value
        /// then states the setting. Defaults to `nil`.
        public var durability: StoreCapabilities.Durability?

        /// Creates a configuration with the default values.
        ///
        /// - Parameter name: The name of the store.
        public init(name: String) {
            self.name = name
            keyspacesWithoutScan = []
            commandTimeout = .seconds(3)
            durability = nil
        }

        /// Checks the values.
        ///
        /// - Throws: `ConfigurationError` with all problems.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("redis store")
            let bytes = name.utf8
            problems.require(
                (1...64).contains(bytes.count),
                "the name must have 1 to 64 bytes (has \(bytes.count))"
            )
            problems.require(
                !bytes.contains { $0 < 0x21 || $0 == UInt8(ascii: "{") || $0 == UInt8(ascii: "}") || $0 == 0x7F },
                "the name must not contain braces, spaces or control characters"
            )
            problems.require(
                commandTimeout > .zero,
                "the time limit of a command must be positive (is \(commandTimeout))"
            )
            try problems.throwIfAny()
        }
    }
}

internal import ReliabilityStore

extension PostgresStore {
    /// The settings of a store on a PostgreSQL server.
    public struct Configuration: Hashable, Sendable {
        /// The name of the database schema with the store's tables and functions.
        ///
        /// Processes with the same schema share the store. The name matches `[a-z_][a-z0-9_]*` and has at most 63 bytes.
        public var schema: String
        /// The longest time of a call, which the caller's deadline shortens.
        ///
        /// The `statement_timeout` of the server must be shorter, so that most timeouts have a definite outcome.
        public var callTimeout: Duration

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - schema: The name of the database schema. Defaults to `reliability`.
        ///   - callTimeout: The longest time of a call, positive. Defaults to 3 seconds.
        public init(schema: String = "reliability", callTimeout: Duration = .seconds(3)) {
            self.schema = schema
            self.callTimeout = callTimeout
        }

        /// Returns the configuration if all values are valid.
        func checked() throws(StoreError) -> Configuration {
            try PostgresSchema.check(schema)
            guard callTimeout > .zero else {
                throw StoreError(.invalid, "callTimeout must be positive (is \(callTimeout))")
            }
            return self
        }
    }
}

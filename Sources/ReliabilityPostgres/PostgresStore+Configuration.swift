public import ReliabilityCore
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
        /// A Boolean value that indicates whether the store sends and receives notifications of new records.
        ///
        /// A notification wakes the relays of other processes before their next poll. The commits of records then wait
        /// for each other (see <doc:PostgreSQL>). The client must implement
        /// ``PostgresTransport/listen(_:receive:)``, and relays poll otherwise.
        public var usesNotifications: Bool

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - schema: The name of the database schema. Defaults to `reliability`.
        ///   - callTimeout: The longest time of a call, positive. Defaults to 3 seconds.
        ///   - usesNotifications: `true` if new records wake the relays of other processes. Defaults to `false`.
        public init(
            schema: String = "reliability",
            callTimeout: Duration = .seconds(3),
            usesNotifications: Bool = false
        ) {
            self.schema = schema
            self.callTimeout = callTimeout
            self.usesNotifications = usesNotifications
        }

        /// Checks the values.
        ///
        /// - Throws: `ConfigurationError` with all problems.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("postgres store")
            do throws(StoreError) { try PostgresSchema.check(schema) } catch {
                problems.require(false, error.explanation)
            }
            problems.require(callTimeout > .zero, "callTimeout must be positive (is \(callTimeout))")
            try problems.throwIfAny()
        }
    }
}

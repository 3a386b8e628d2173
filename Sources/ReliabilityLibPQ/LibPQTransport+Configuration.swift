#if LibPQ
internal import ReliabilityCore

extension LibPQTransport {
    /// The settings of the connections.
    public struct Configuration: Hashable, Sendable {
        /// The time limits that the server enforces in each session, or `nil` behind a pooler in transaction mode.
        ///
        /// The limits are startup options, which PgBouncer rejects. Set the limits with `ALTER ROLE … SET` instead. With
        /// a value, each connection prepares the statements that it runs. A pooler in transaction mode does not support
        /// prepared statements.
        public var serverLimits: ServerLimits?
        /// The largest number of connections, at least 1.
        public var maxConnections: Int
        /// The time after which an idle connection is checked before its next use.
        public var idleCheckInterval: Duration

        /// The time limits that the server enforces.
        public struct ServerLimits: Hashable, Sendable {
            /// The longest time of a statement, which should be shorter than the time limit of a call.
            public var statement: Duration
            /// The longest wait for a lock.
            public var lock: Duration
            /// The longest time that a transaction may be idle.
            public var idleInTransaction: Duration

            /// Creates limits.
            ///
            /// - Parameters:
            ///   - statement: The longest time of a statement. Defaults to 2.5 seconds.
            ///   - lock: The longest wait for a lock. Defaults to 1 second.
            ///   - idleInTransaction: The longest time that a transaction may be idle. Defaults to 10 seconds.
            public init(
                statement: Duration = .milliseconds(2500),
                lock: Duration = .seconds(1),
                idleInTransaction: Duration = .seconds(10)
            ) {
                self.statement = statement
                self.lock = lock
                self.idleInTransaction = idleInTransaction
            }

            /// The startup options of a session.
            ///
            /// A client that abandons a statement closes its connection. The server then ends the statement within a
            /// second.
            var options: String {
                func milliseconds(_ limit: Duration) -> Int32 {
                    max(1, Int32(clamping: limit.saturatingNanoseconds / 1_000_000))
                }
                return [
                    "-c statement_timeout=\(milliseconds(statement))",
                    "-c lock_timeout=\(milliseconds(lock))",
                    "-c idle_in_transaction_session_timeout=\(milliseconds(idleInTransaction))",
                    "-c client_connection_check_interval=1000",
                    "-c default_transaction_isolation=read\\ committed",
                ].joined(separator: " ")
            }
        }

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - maxConnections: The largest number of connections, at least 1. Defaults to 8.
        ///   - serverLimits: The time limits that the server enforces, or `nil` for the settings of the role. Defaults
        ///     to 2.5 s for a statement, 1 s for a lock and 10 s for an idle transaction.
        ///   - idleCheckInterval: The time after which an idle connection is checked before its next use. Defaults to
        ///     30 seconds.
        public init(
            maxConnections: Int = 8,
            serverLimits: ServerLimits? = ServerLimits(),
            idleCheckInterval: Duration = .seconds(30)
        ) {
            self.serverLimits = serverLimits
            self.maxConnections = maxConnections
            self.idleCheckInterval = idleCheckInterval
        }
    }
}
#endif

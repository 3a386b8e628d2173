package import ReliabilityStore

/// The meaning of the code of an error of the server.
struct ServerError: Hashable, Sendable {
    /// The further steps after an error.
    enum Reaction: Hashable, Sendable {
        case none
        /// Nothing happened, and the same statement may succeed.
        case tryAgain
        /// The server is no primary any more, so another client must find the primary.
        case replaceClient
        /// Nothing happened, and the same statement may succeed on another connection.
        case tryAgainElsewhere
    }

    let reason: StoreError.Reason
    let reaction: Reaction
    let explanation: String
    /// A Boolean value that indicates whether the error is a failure of the server and not of the statement.
    let isOfServer: Bool
    /// A Boolean value that indicates whether the operator of the server can remove the cause of a permanent error.
    ///
    /// Such an error is permanent only at the opening of a store.
    let isRemediable: Bool

    private init(
        _ reason: StoreError.Reason,
        _ reaction: Reaction,
        _ explanation: String,
        isOfServer: Bool = false,
        isRemediable: Bool = false
    ) {
        self.reason = reason
        self.reaction = reaction
        self.explanation = explanation
        self.isOfServer = isOfServer
        self.isRemediable = isRemediable
    }

    /// Creates the meaning of a code whose cause the operator can remove while stores are open.
    private static func remediable(_ explanation: String, _ reaction: Reaction = .none) -> ServerError {
        ServerError(.failed, reaction, explanation, isRemediable: true)
    }

    /// Creates the meaning of a code.
    ///
    /// - Parameters:
    ///   - sqlState: The code.
    ///   - isWrite: `true` if the statement may have changed something.
    init(_ sqlState: String, isWrite: Bool) {
        let reconnecting: StoreError.Reason = isWrite ? .unknownOutcome : .unavailable
        switch sqlState {
        case "53100": self.init(.diskFull, .none, "the disk of the server is full")
        case "53200": self.init(.unavailable, .none, "the server has no memory or no locks left")
        case "53300": self.init(.unavailable, .none, "the server has too many connections", isOfServer: true)
        case "57P03": self.init(.unavailable, .none, "the server is starting up or shutting down", isOfServer: true)
        case "57P01", "57P02", "57P05":
            self.init(reconnecting, .none, "the server ended the connection", isOfServer: true)
        case "57014": self.init(.unavailable, .none, "the statement exceeded the time limit of the server")
        // Contention alone must fail no call.
        case "55P03":
            self.init(.unavailable, .tryAgain, "a lock was held for longer than the time limit of the server")
        case "40001": self.init(.unavailable, .tryAgain, "the transaction conflicted with another transaction")
        case "40P01": self.init(.unavailable, .tryAgain, "the transaction was in a deadlock")
        case "25006":
            self.init(
                .unavailable,
                .replaceClient,
                "the server is a replica or accepts no writes; connect to the primary",
                isOfServer: true
            )
        case "26000", "0A000": self = .remediable("the connection has an outdated statement", .tryAgainElsewhere)
        case "42883", "42P01", "3F000":
            self = .remediable("the schema of the store is missing or too old; run PostgresSchema.migrate")
        case "42501":
            self = .remediable("the role lacks a privilege; grant the privileges of the page PostgreSQL")
        case "3D000": self = .remediable("the database does not exist; create it or correct the address")
        case "54000":
            self = .remediable("a limit of the server is exceeded; end the listener that fills the notification queue")
        case Self.wrongIsolation:
            self = .remediable("default_transaction_isolation must be read committed for the role of the store")
        default:
            let unexpected = "the server reported an unexpected error"
            switch sqlState.prefix(2) {
            case "08": self.init(reconnecting, .none, "the connection failed", isOfServer: true)
            case "28":
                self = .remediable(
                    "the server rejected the user or the password; correct the address, the role or pg_hba.conf"
                )
            case "53": self.init(.unavailable, .none, "the server has too few resources")
            case "57": self.init(.unavailable, .none, "the server was interrupted by its operator")
            case "58": self = .remediable("the server failed to use its files; see the log of the server")
            case "XX": self = .remediable("the server reported an internal error; see the log of the server")
            default: self.init(.failed, .none, unexpected)
            }
        }
    }

    /// The code with which the functions of the store reject an isolation other than read committed.
    static let wrongIsolation = "RL001"

    /// Returns the error for a code.
    ///
    /// - Parameters:
    ///   - sqlState: The code.
    ///   - isOpening: `true` for a check of a server, after which an opening fails with the error.
    /// - Returns: The error, which is permanent only if no operator can remove the cause or the store is being opened.
    func storeError(_ sqlState: String, isOpening: Bool) -> StoreError {
        StoreError(isRemediable && !isOpening ? .unavailable : reason, "\(explanation) (SQLSTATE \(sqlState))")
    }
}

extension StoreError {
    /// Creates the error for an error of the server in a call of a user.
    package init(sqlState: String, isWrite: Bool) {
        self = ServerError(sqlState, isWrite: isWrite).storeError(sqlState, isOpening: false)
    }
}

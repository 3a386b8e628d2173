package import ReliabilityStore

/// The meaning of the code of an error of the server.
struct ServerError: Hashable, Sendable {
    /// The further steps after an error.
    enum Reaction: Hashable, Sendable {
        case none
        /// Nothing happened, and the same statement may succeed.
        case tryAgain
        /// The connection is of no further use.
        case reconnect
        /// Nothing happened, and the same statement may succeed on another connection.
        case tryAgainElsewhere
    }

    let reason: StoreError.Reason
    let reaction: Reaction
    let explanation: String

    private init(_ reason: StoreError.Reason, _ reaction: Reaction, _ explanation: String) {
        self.reason = reason
        self.reaction = reaction
        self.explanation = explanation
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
        case "53300": self.init(.unavailable, .none, "the server has too many connections")
        case "57P03": self.init(.unavailable, .reconnect, "the server is starting up or shutting down")
        case "57P01", "57P02", "57P05": self.init(reconnecting, .reconnect, "the server ended the connection")
        case "57014": self.init(.unavailable, .none, "the statement exceeded the time limit of the server")
        // Contention alone must fail no call.
        case "55P03":
            self.init(.unavailable, .tryAgain, "a lock was held for longer than the time limit of the server")
        case "40001": self.init(.unavailable, .tryAgain, "the transaction conflicted with another transaction")
        case "40P01": self.init(.unavailable, .tryAgain, "the transaction was in a deadlock")
        case "25006": self.init(.unavailable, .reconnect, "the server is a replica or accepts no writes")
        case "26000", "0A000": self.init(.failed, .tryAgainElsewhere, "the connection has an outdated statement")
        case "42883", "42P01", "3F000":
            self.init(.failed, .none, "the schema of the store is missing or too old; run PostgresSchema.migrate")
        case "42501": self.init(.failed, .none, "the role has too few privileges")
        case "3D000": self.init(.failed, .none, "the database does not exist")
        case Self.wrongIsolation:
            self.init(.failed, .none, "default_transaction_isolation must be read committed for the role of the store")
        default:
            let unexpected = "the server reported an unexpected error"
            switch sqlState.prefix(2) {
            case "08": self.init(reconnecting, .reconnect, "the connection failed")
            case "28": self.init(.failed, .none, "the server rejected the user or the password")
            case "53": self.init(.unavailable, .none, "the server has too few resources")
            case "57": self.init(.unavailable, .none, "the server was interrupted by its operator")
            case "XX": self.init(.failed, .none, "the server reported an internal error")
            default: self.init(.failed, .none, unexpected)
            }
        }
    }

    /// The code with which the functions of the store reject an isolation other than read committed.
    static let wrongIsolation = "RL001"

    func storeError(_ sqlState: String) -> StoreError { StoreError(reason, "\(explanation) (SQLSTATE \(sqlState))") }
}

extension StoreError {
    /// Creates the error for an error of the server.
    package init(sqlState: String, isWrite: Bool) {
        self = ServerError(sqlState, isWrite: isWrite).storeError(sqlState)
    }
}

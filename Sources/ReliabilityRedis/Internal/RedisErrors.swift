internal import ReliabilityStore

/// The meaning of an error reply for the connection.
enum RedisErrorKind {
    /// The server cannot run any command at the moment.
    case unavailable
    /// The server is no primary any more, so another server must be found.
    case demoted
    case other

    init(_ text: String) {
        self =
            switch text.prefix(while: { $0 != " " }) {
            case "BUSY", "LOADING", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN": .unavailable
            case "READONLY", "MOVED", "ASK", "UNBLOCKED", "NOAUTH", "WRONGPASS": .demoted
            default: .other
            }
    }
}

extension StoreError {
    /// Creates the error for an error reply to a call of a user, after which nothing has changed.
    ///
    /// The operator of the server can correct credentials and rights while the store is open. Such an error is therefore
    /// not permanent.
    init(replyInUse text: String) {
        let error = StoreError(serverError: text)
        let isRemediable = error.reason == .failed && (RedisErrorKind(text) == .demoted || isMissingRight(text))
        self = isRemediable ? StoreError(.unavailable, error.explanation) : error
    }

    /// Creates the error for an error reply to a check at an opening, after which nothing has changed.
    ///
    /// The text of the server is not part of the error, because the text may quote an argument.
    init(serverError text: String) {
        let code = String(text.prefix { $0 != " " })
        switch code {
        case "OOM":
            self.init(.capacityExceeded, "the server's memory is full (OOM); raise maxmemory or delete keys")
        case "MISCONF" where text.contains("No space left"):
            self.init(.diskFull, "the server's disk is full (MISCONF)")
        case "MISCONF":
            self.init(.unavailable, "the server cannot write to its disk (MISCONF)")
        case "READONLY": self.init(.unavailable, "the server is a replica (READONLY)")
        case "NOREPLICAS": self.init(.unavailable, "the server has too few replicas for a write (NOREPLICAS)")
        case "BUSY", "LOADING", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "UNBLOCKED":
            self.init(.unavailable, "the server cannot run commands at the moment (\(code))")
        case "MOVED", "ASK":
            self.init(.unavailable, "the keys of the store are on another node (\(code)); use a client for clusters")
        case "NOAUTH": self.init(.failed, "the server requires a password (NOAUTH); add the password to the address")
        case "WRONGPASS":
            self.init(
                .failed,
                "the server rejected the user or the password (WRONGPASS); correct the address or the user"
            )
        case _ where isMissingRight(text):
            self.init(
                .failed,
                "the user lacks the right to a command or key of the store (NOPERM); grant the rights of the page Redis"
            )
        case "WRONGTYPE":
            self.init(.failed, "a key of the store has content of another program (WRONGTYPE); choose another name")
        case _ where text.hasPrefix("ERR max number of clients"):
            self.init(.unavailable, "the server has reached its maximum number of clients (maxclients)")
        default: self.init(.failed, "the server rejected a command with an unexpected error")
        }
    }
}

/// Returns a Boolean value that indicates whether an error reply reports a right that the user lacks.
private func isMissingRight(_ text: String) -> Bool {
    text.hasPrefix("NOPERM ") || text.hasPrefix("ERR The user executing the script can't")
}

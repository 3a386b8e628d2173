#if GRDB
internal import GRDB
internal import ReliabilityStore

extension StoreError {
    /// Creates the error for an error of a transaction of the store.
    ///
    /// - Parameters:
    ///   - error: The error.
    ///   - isWrite: `true` if the transaction may have changed something.
    init(database error: any Error, isWrite: Bool) {
        if let error = error as? StoreError {
            self = error
            return
        }
        guard let error = error as? DatabaseError else {
            // A column has a value that the store cannot have written.
            self.init(
                .corruption(file: "reliability tables", offset: 0),
                "a row of the store cannot be read",
                underlyingError: error
            )
            return
        }
        let reason: Reason
        switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_NOMEM, .SQLITE_CANTOPEN, .SQLITE_INTERRUPT, .SQLITE_ABORT,
            .SQLITE_PROTOCOL:
            reason = .unavailable
        // A commit whose sync failed may be found by the recovery after a crash.
        case .SQLITE_IOERR: reason = isWrite ? .unknownOutcome : .unavailable
        case .SQLITE_FULL: reason = .diskFull
        case .SQLITE_READONLY: reason = .readOnly
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: reason = .corruption(file: "database", offset: 0)
        case .SQLITE_MISUSE: reason = .closed
        default: reason = .failed
        }
        self.init(
            reason,
            "SQLite ended the transaction with the code \(error.extendedResultCode.rawValue)"
                + (error.resultCode == .SQLITE_ERROR ? "; the tables may be missing: run the migrations" : ""),
            underlyingError: error
        )
    }
}

extension Database {
    /// The durability of commits on this connection.
    var durability: StoreCapabilities.Durability {
        get throws {
            let file = try Row.fetchAll(self, sql: "PRAGMA database_list").first { row in
                try row.decode(String.self, atIndex: 1) == "main"
            }
            let path = try file?.decode(String?.self, atIndex: 2) ?? ""
            if path.isEmpty { return .none }
            let journal = try String.fetchOne(self, sql: "PRAGMA journal_mode") ?? ""
            if ["memory", "off"].contains(journal.lowercased()) { return .none }
            let full = 2
            if try Int.fetchOne(self, sql: "PRAGMA synchronous") ?? 0 < full { return .processCrash }
            #if canImport(Darwin)
            // Without the setting, a sync of the system ends before the disk has written its cache.
            if try Int.fetchOne(self, sql: "PRAGMA fullfsync") ?? 0 == 0 { return .processCrash }
            #endif
            return .powerLoss
        }
    }
}
#endif

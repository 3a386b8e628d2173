import Foundation
import GRDB

/// A table of keys and values in SQLite, durable in the same way as a file store.
struct SQLiteTable {
    let pool: DatabasePool

    /// Creates a database with a write-ahead log that is synced at the end of each transaction.
    init(at path: String) async throws {
        pool = try DatabasePool(path: path)
        let mode = try await pool.writeWithoutTransaction { database in
            // The pool itself sets NORMAL, which does not sync a transaction.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            try database.execute(sql: "CREATE TABLE entry (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
            return try Int.fetchOne(database, sql: "PRAGMA synchronous")
        }
        precondition(mode == 2, "SQLite does not sync each transaction")
    }

    static func put(_ database: Database, _ number: Int) throws {
        let statement = try database.cachedStatement(sql: "INSERT OR REPLACE INTO entry VALUES (?, ?)")
        try statement.execute(arguments: [Data(Content.bytes(number)), Data(Content.value)])
    }

    /// Puts entries with the numbers from 0.
    func fill(_ count: Int) async throws {
        try await pool.write { database in
            for number in 0..<count { try Self.put(database, number) }
        }
    }
}

/// Pages of 100 rows after a random key.
@Sendable func measureSQLiteScan(_ directory: String, _ keys: Int) async throws -> Stores.Figures {
    let table = try await SQLiteTable(at: "\(directory)/database")
    try await table.fill(keys)
    var generator = SeededGenerator(seed: keys)
    let pages = 200
    let start = ContinuousClock.now
    for _ in 0..<pages {
        let after = Data(Content.bytes(Int.random(in: 0..<keys, using: &generator)))
        _ = try await table.pool.read { database in
            let statement = try database.cachedStatement(
                sql: "SELECT key, value FROM entry WHERE key > ? ORDER BY key LIMIT 100"
            )
            return try Row.fetchAll(statement, arguments: [after]).count
        }
    }
    return ["microsecondsAPage": (ContinuousClock.now - start).inNanoseconds / 1000 / Double(pages)]
}

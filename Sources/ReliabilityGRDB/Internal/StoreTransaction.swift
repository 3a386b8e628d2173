#if GRDB
// GRDB represents blobs as Data.
internal import Foundation
internal import GRDB
internal import ReliabilityCore
internal import ReliabilityStore

/// The store's tables within one transaction of a database.
///
/// Times are microseconds since 1970. A version is a time or the last version plus 1. A version that a rollback took
/// back is therefore not issued again, except within the same microsecond.
struct StoreTransaction {
    /// A step back of the system's clock below this time, in nanoseconds, stops the store's clock.
    ///
    /// After a larger step, the store's clock follows. A clock that was once wrong therefore stops no expiry forever.
    private static let largestPause: Int64 = 1_000_000_000

    let db: Database
    /// The time of all operations of the transaction, in nanoseconds since 1970.
    let time: Int64
    /// The time in microseconds since 1970.
    var now: Int64 { time / 1000 }
    private var lastVersion: Int64

    /// Reads the counter of the tables.
    ///
    /// - Parameters:
    ///   - db: A connection in a transaction.
    ///   - wallClock: The time of the system in nanoseconds since 1970.
    /// - Throws: `StoreError` or the error of the database if the tables are missing.
    init(_ db: Database, wallClock: Int64) throws {
        self.db = db
        let statement = try db.cachedStatement(sql: "SELECT version, clock FROM reliability_counter")
        guard let row = try Row.fetchOne(statement) else {
            throw StoreError(.failed, "the table reliability_counter has no row; run the migration again")
        }
        lastVersion = try row.decode(atIndex: 0)
        let last = try row.decode(Int64.self, atIndex: 1).saturatingMultiply(1000)
        time = last > wallClock && last - wallClock < Self.largestPause ? last : wallClock
    }

    /// Issues a version.
    mutating func nextVersion() -> Int64 {
        lastVersion = max(lastVersion.saturatingAdd(1), now)
        return lastVersion
    }

    /// Writes the counter, after changes of other tables.
    func saveCounter() throws {
        try execute("UPDATE reliability_counter SET version = ?, clock = ?", [lastVersion, now])
    }

    /// Removes at most 16 expired entries.
    func reclaim() throws {
        try execute(
            """
            DELETE FROM reliability_entry WHERE key IN
            (SELECT key FROM reliability_entry WHERE expires <= ? LIMIT 16)
            """,
            [now]
        )
    }

    // MARK: Statements

    func execute(_ sql: String, _ arguments: StatementArguments) throws {
        try db.cachedStatement(sql: sql).execute(arguments: arguments)
    }

    func row(_ sql: String, _ arguments: StatementArguments) throws -> Row? {
        try Row.fetchOne(db.cachedStatement(sql: sql), arguments: arguments)
    }

    func rows(_ sql: String, _ arguments: StatementArguments) throws -> [Row] {
        try Row.fetchAll(db.cachedStatement(sql: sql), arguments: arguments)
    }

    /// Calls `body` with rows until `body` returns `false`.
    func forEachRow(_ sql: String, _ arguments: StatementArguments, _ body: (Row) throws -> Bool) throws {
        let cursor = try Row.fetchCursor(db.cachedStatement(sql: sql), arguments: arguments)
        while let row = try cursor.next(), try body(row) {}
    }

    /// Returns the end of a wait or a life of at least `duration`.
    func instant(after duration: Duration) -> Int64 {
        if duration <= .zero { return now }
        let end = time.saturatingAdd(duration.saturatingNanoseconds)
        return end / 1000 + (end % 1000 == 0 ? 0 : 1)
    }

    /// Returns the time until an instant.
    func wait(until instant: Int64) -> Duration {
        .nanoseconds(instant.saturatingMultiply(1000).saturatingSubtract(time))
    }
}

extension Row {
    func bytes(_ index: Int) throws -> [UInt8] { Array(try decode(Data.self, atIndex: index)) }

    func text(_ index: Int) throws -> String { String(decoding: try decode(Data.self, atIndex: index), as: UTF8.self) }
}

extension String {
    /// The bytes of the text, for a column that is compared by bytes.
    var blob: Data { Data(utf8) }
}

extension StoreVersion {
    init(_ version: Int64) { self.init(rawValue: UInt64(bitPattern: version)) }
}
#endif

#if GRDB
import Foundation
import GRDB
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Synchronization

@testable import ReliabilityGRDB

/// A database file in a directory of its own, and the clock of the machine.
final class GRDBFixture: Sendable {
    let directory: URL
    let clock: WallClock

    init(_ clock: ManualClock) throws {
        let (start, source) = (unixNanoseconds() / 1_000_000 * 1_000_000, TimeSource(clock))
        let origin = source.now
        self.clock = WallClock { start + source.now - origin }
        directory = FileManager.default.temporaryDirectory.appending(path: "grdb-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    private init(copying other: GRDBFixture) throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "grdb-\(UUID().uuidString)")
        clock = other.clock
        try FileManager.default.copyItem(at: other.directory, to: directory)
    }

    /// A copy of the files while the database is in use, as a killed process leaves the files.
    func killed() throws -> GRDBFixture { try GRDBFixture(copying: self) }

    deinit { try? FileManager.default.removeItem(at: directory) }

    func open(_ change: (inout Configuration) -> Void = { _ in }) throws -> DatabasePool {
        var configuration = Configuration()
        configuration.busyMode = .timeout(20)
        change(&configuration)
        let pool = try DatabasePool(
            path: directory.appending(path: "db.sqlite").path,
            configuration: configuration
        )
        var migrator = DatabaseMigrator()
        GRDBStore.registerMigrations(in: &migrator)
        migrator.registerMigration("orders") { db in
            try db.execute(sql: "CREATE TABLE IF NOT EXISTS orders (name TEXT PRIMARY KEY)")
        }
        try migrator.migrate(pool)
        return pool
    }
}

extension Database {
    func insertOrder(_ name: String) throws {
        try execute(sql: "INSERT INTO orders (name) VALUES (?)", arguments: [name])
    }

    var orders: [String] { get throws { try String.fetchAll(self, sql: "SELECT name FROM orders ORDER BY name") } }
}
#endif

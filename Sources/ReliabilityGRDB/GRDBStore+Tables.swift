#if GRDB
public import GRDB

extension GRDBStore {
    /// The name of the first migration.
    private static let firstMigration = "reliability-1"

    /// Adds the migrations of the store's tables to the migrator of the program.
    ///
    /// The names of the migrations and of the tables begin with `reliability`. A later release may add migrations and
    /// never changes an existing migration.
    ///
    /// - Parameter migrator: The migrator of the program's database.
    public static func registerMigrations(in migrator: inout DatabaseMigrator) {
        migrator.registerMigration(firstMigration) { db in try createTables(in: db) }
    }

    /// Creates the store's tables, for a program that migrates its database without a `DatabaseMigrator`.
    ///
    /// Nothing changes if the tables exist.
    ///
    /// - Parameter db: A connection to the database, in a transaction.
    /// - Throws: The error of the database.
    public static func createTables(in db: Database) throws { try db.execute(sql: tables) }

    // Names and identities are blobs, because text ends at a zero byte and is compared by a collation.
    // Times are microseconds since 1970. A state is 0 for pending, 1 for leased and 2 for a dead letter.
    private static let tables = """
        CREATE TABLE IF NOT EXISTS reliability_counter (
            one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, clock INTEGER NOT NULL
        );
        INSERT OR IGNORE INTO reliability_counter (one, version, clock) VALUES (1, 0, 0);
        CREATE TABLE IF NOT EXISTS reliability_entry (
            key BLOB PRIMARY KEY NOT NULL, version INTEGER NOT NULL, expires INTEGER, value BLOB NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS reliability_entry_expires ON reliability_entry (expires) WHERE expires IS NOT NULL;
        CREATE TABLE IF NOT EXISTS reliability_record (
            queue BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, due INTEGER NOT NULL,
            attempts INTEGER NOT NULL, state INTEGER NOT NULL, reason BLOB, payload BLOB NOT NULL,
            PRIMARY KEY (queue, id)
        ) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS reliability_record_due ON reliability_record (queue, due, version) WHERE state < 2;
        CREATE INDEX IF NOT EXISTS reliability_record_pending ON reliability_record (queue, id) WHERE state < 2;
        CREATE INDEX IF NOT EXISTS reliability_record_dead ON reliability_record (queue, id) WHERE state = 2;
        """
}
#endif

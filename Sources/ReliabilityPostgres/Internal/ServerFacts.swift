internal import ReliabilityStore

/// The properties of a server that the store depends on, checked at each opening of a connection.
struct ServerFacts: Hashable, Sendable {
    let durability: StoreCapabilities.Durability
    let schemaVersion: Int
    /// A Boolean value that indicates whether a standby may lack acknowledged writes.
    let hasAsynchronousStandby: Bool

    /// The version of the statements of this library, which a schema may exclude.
    static let client = 1

    /// Checks a server.
    ///
    /// - Parameters:
    ///   - commands: The way to the server.
    ///   - schema: The name of the schema.
    /// - Returns: The properties of the server.
    /// - Throws: `StoreError` if the server cannot keep the promises of the store.
    static func verify(_ commands: PostgresCommands, schema: String) async throws(StoreError) -> ServerFacts {
        let rows = try await commands.read(settings, [.text(schema)])
        guard let first = rows.first else { throw .malformedReply }
        var row = RowReader(first)
        let isReplica = try row.bool()
        let isReadOnly = try row.text() == "on"
        let serverVersion = Int(try row.integer(Int32.self))
        let isolation = try row.text()
        let durability = durability(
            fsync: try row.text(),
            fullPageWrites: try row.text(),
            synchronousCommit: try row.text()
        )
        let hasSchema = try row.bool()
        let mayUseSchema = try row.bool()
        let mayReadMeta = try row.integerOrNull(UInt8.self)
        let hasAsynchronousStandby = try row.bool()
        let missing = try row.bytesOrNull().map { String(decoding: $0, as: UTF8.self) }
        if isReplica || isReadOnly {
            throw StoreError(.unavailable, "the server is a replica or accepts no writes; connect to the primary")
        }
        guard serverVersion >= 150_000 else {
            throw StoreError(.failed, "the server must be PostgreSQL 15 or later (is \(serverVersion / 10_000))")
        }
        guard isolation == "read committed" else {
            throw StoreError(
                .failed,
                "default_transaction_isolation must be read committed for the role of the store (is \(isolation))"
            )
        }
        guard hasSchema else { throw notMigrated(schema, "is missing") }
        guard mayUseSchema else { throw lacksPrivileges(schema, "USAGE on the schema") }
        guard let mayReadMeta else { throw notMigrated(schema, "has no version") }
        guard mayReadMeta == 1 else { throw lacksPrivileges(schema, "SELECT on meta") }
        let version = try await schemaVersion(commands, schema)
        if let missing { throw lacksPrivileges(schema, missing) }
        return ServerFacts(
            durability: durability,
            schemaVersion: version,
            hasAsynchronousStandby: hasAsynchronousStandby
        )
    }

    /// Checks that a server that was checked before is still a primary.
    static func verifyRole(_ commands: PostgresCommands) async throws(StoreError) {
        let role = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'"
        guard let first = try await commands.read(role, []).first else { throw .malformedReply }
        var row = RowReader(first)
        if try row.bool() {
            throw StoreError(.unavailable, "the server is a replica or accepts no writes; connect to the primary")
        }
    }

    private static func schemaVersion(_ commands: PostgresCommands, _ schema: String) async throws(StoreError) -> Int {
        let meta = "SELECT schema_version, minimum_client FROM \(PostgresSchema.quoted(schema)).meta"
        guard let first = try await commands.read(meta, []).first else { throw notMigrated(schema, "has no version") }
        var row = RowReader(first)
        let version = Int(try row.integer(Int32.self))
        let minimumClient = Int(try row.integer(Int32.self))
        guard minimumClient <= client else {
            throw StoreError(
                .unsupportedFormat(version),
                "the schema \(schema) has version \(version), which needs a later version of the library; update the library"
            )
        }
        guard version >= PostgresSchema.version else { throw notMigrated(schema, "has version \(version)") }
        return version
    }

    private static func lacksPrivileges(_ schema: String, _ missing: String) -> StoreError {
        StoreError(
            .failed,
            "the role lacks privileges in the schema \(schema) (\(missing)); grant the privileges of the page PostgreSQL"
        )
    }

    private static func notMigrated(_ schema: String, _ state: String) -> StoreError {
        StoreError(
            .failed,
            "the schema \(schema) must have version \(PostgresSchema.version) (\(state)); run PostgresSchema.migrate"
        )
    }

    static func durability(
        fsync: String,
        fullPageWrites: String,
        synchronousCommit: String
    ) -> StoreCapabilities.Durability {
        if synchronousCommit == "off" { return .none }
        return fsync == "on" && fullPageWrites == "on" ? .powerLoss : .processCrash
    }

    /// The privileges of the role that a store runs with.
    static let privileges = [
        ("entry", "SELECT"), ("entry", "INSERT"), ("entry", "UPDATE"), ("entry", "DELETE"),
        ("record", "SELECT"), ("record", "INSERT"), ("record", "UPDATE"), ("record", "DELETE"),
    ]

    static let functions = [
        "clock_v1", "next_version_v1", "lock_class_v1", "write_v1", "commit_v1", "decide_v1", "update_v1",
        "update_one_v1", "enqueue_v1", "claim_v1", "settle_v1", "sweep_v1",
    ]

    // The catalogues are readable without a privilege, and a missing object is a null instead of an error.
    private static let settings = """
        WITH s AS (SELECT oid FROM pg_namespace WHERE nspname = $1::text),
        c AS (SELECT relname, oid FROM pg_class WHERE relnamespace = (SELECT oid FROM s)),
        missing AS (
          SELECT v.privilege || ' on ' || v.name AS text FROM (VALUES \
        \(privileges.map { "('\($0)', '\($1)')" }.joined(separator: ", "))) AS v (name, privilege)
            LEFT JOIN c ON c.relname = v.name WHERE NOT coalesce(has_table_privilege(c.oid, v.privilege), false)
          UNION ALL
          SELECT 'USAGE on version_seq' FROM (VALUES (1)) AS v LEFT JOIN c ON c.relname = 'version_seq'
            WHERE NOT coalesce(has_sequence_privilege(c.oid, 'USAGE'), false)
          UNION ALL
          SELECT 'EXECUTE on ' || v.name FROM (VALUES \(functions.map { "('\($0)')" }.joined(separator: ", "))) AS v (name)
            LEFT JOIN pg_proc p ON p.pronamespace = (SELECT oid FROM s) AND p.proname = v.name
            WHERE NOT coalesce(has_function_privilege(p.oid, 'EXECUTE'), false))
        SELECT pg_is_in_recovery(), current_setting('transaction_read_only'),
          current_setting('server_version_num')::integer, current_setting('transaction_isolation'),
          current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
          EXISTS (SELECT 1 FROM s), coalesce((SELECT has_schema_privilege(s.oid, 'USAGE') FROM s), false),
          (SELECT has_table_privilege(c.oid, 'SELECT') FROM c WHERE c.relname = 'meta'),
          EXISTS (SELECT 1 FROM pg_stat_replication WHERE coalesce(sync_state, 'async') NOT IN ('sync', 'quorum')),
          (SELECT string_agg(text, ', ') FROM missing)
        """
}

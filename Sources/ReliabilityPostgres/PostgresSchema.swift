public import ReliabilityStore

/// The tables and functions of a store in a database.
///
/// A store never changes its schema. A deployment runs ``migrate(_:schema:)``, or runs the text of ``sql(schema:)`` with
/// a tool for migrations. Processes with the last version of the library work during and after a migration.
public enum PostgresSchema {
    /// The version of the schema that this version of the library needs.
    public static let version = 1

    /// Returns the statements that bring a database to ``version``.
    ///
    /// Each statement is a single `DO` block that checks the present version first. The statements can therefore run
    /// several times, with or without a surrounding transaction.
    ///
    /// - Parameter schema: The name of the schema. Defaults to `reliability`.
    /// - Returns: The statements, each with a final semicolon.
    /// - Throws: `StoreError` with the reason `invalid` if the name is invalid.
    public static func sql(schema: String = "reliability") throws(StoreError) -> String {
        try check(schema)
        return SchemaStep.all.map { statement($0, schema) + ";\n" }.joined(separator: "\n")
    }

    /// Returns the statements that take back the step to a version.
    ///
    /// Stop all processes that need the version first. The step back from version 1 removes the schema with its
    /// content.
    ///
    /// - Parameters:
    ///   - version: The version to take back, which must be the present version of the database.
    ///   - schema: The name of the schema. Defaults to `reliability`.
    /// - Returns: The statements, or an empty text if there is no such version.
    /// - Throws: `StoreError` with the reason `invalid` if the name is invalid.
    public static func rollbackSQL(
        version: Int,
        schema: String = "reliability"
    ) throws(StoreError) -> String {
        try check(schema)
        guard let step = SchemaStep.all.first(where: { $0.version == version }) else { return "" }
        var statements = step.rollback(quoted(schema))
        if let previous = SchemaStep.all.last(where: { $0.version < version }) {
            statements.append(
                "UPDATE \(quoted(schema)).meta SET schema_version = \(previous.version), minimum_client = \(previous.minimumClient)"
            )
        }
        return "BEGIN;\n" + statements.map { $0 + ";\n" }.joined() + "COMMIT;\n"
    }

    /// Returns the statement to run after a restore of a dump into a new cluster.
    ///
    /// A new cluster begins with the first timeline. The statement advances the versions beyond all versions of the old
    /// cluster. A physical backup or a promoted standby needs no such statement.
    ///
    /// - Parameter schema: The name of the schema. Defaults to `reliability`.
    /// - Returns: The statement.
    /// - Throws: `StoreError` with the reason `invalid` if the name is invalid.
    public static func sqlAfterRestore(schema: String = "reliability") throws(StoreError) -> String {
        try check(schema)
        // 2^40 is more than the number of versions of entries that were deleted since.
        let s = quoted(schema)
        return """
            SELECT setval('\(s).version_seq', greatest(nextval('\(s).version_seq'),
              (SELECT coalesce(max(v.version), 0) FROM (SELECT version FROM \(s).entry
                UNION ALL SELECT version FROM \(s).record) v)
              - (\(s).next_version_v1() - currval('\(s).version_seq'))) + 1099511627776);

            """
    }

    /// Brings a database to ``version``.
    ///
    /// Each step is one transaction under an advisory lock. A step waits at most two seconds for a lock. Other clients
    /// therefore wait at most two seconds. A database that has the version already is not changed.
    ///
    /// A step is tried up to ten times if the server cannot be reached or the step waits too long for a lock. An attempt
    /// to reach the server takes at most three seconds, as at the opening of a store. Other errors are reported
    /// immediately.
    ///
    /// - Parameters:
    ///   - transport: A client with the privileges to create a schema, tables and functions.
    ///   - schema: The name of the schema. Defaults to `reliability`.
    /// - Throws: `StoreError`, whose explanation names the server and the remedy, without credentials.
    public static func migrate(
        _ transport: some PostgresTransport,
        schema: String = "reliability"
    ) async throws(StoreError) {
        try await migrate(transport, schema: schema, steps: SchemaStep.all)
    }

    static func migrate(
        _ transport: some PostgresTransport,
        schema: String,
        steps: [SchemaStep],
        limits: ConnectionLimits = ConnectionLimits()
    ) async throws(StoreError) {
        try check(schema)
        for step in steps {
            var attempt = 1
            while let error = await failure(of: statement(step, schema), on: transport, limits) {
                // A step checks the present version first, so a step with an unknown outcome is repeated as well.
                guard [.unavailable, .unknownOutcome].contains(error.reason), attempt < limits.maxAttempts else {
                    let server = ["the PostgreSQL server", transport.serverAddress].compactMap(\.self)
                    throw StoreError(
                        error.reason,
                        "\(server.joined(separator: " at ")) cannot be migrated: \(error.explanation)",
                        underlyingError: error.underlyingError
                    )
                }
                try? await Task.sleep(for: min(limits.firstDelay * (1 << (attempt - 1)), limits.maxDelay))
                attempt += 1
            }
        }
    }

    /// Runs a step and returns its error, or `nil` after success.
    private static func failure(
        of step: String,
        on transport: some PostgresTransport,
        _ limits: ConnectionLimits
    ) async -> StoreError? {
        // A step may take long, and a server that cannot be reached may not.
        for (sql, limit) in [("SELECT 1", limits.attemptLimit), (step, .seconds(30))] {
            do throws(StoreError) {
                let reply = try await PostgresCommands.query(transport, sql, [], isWrite: true, limit: limit)
                if let code = reply.sqlState {
                    return ServerError(code, isWrite: true).storeError(code, isOpening: true)
                }
            } catch { return error }
        }
        return nil
    }

    /// A step as a single statement, which runs in one transaction on any connection.
    private static func statement(_ step: SchemaStep, _ schema: String) -> String {
        let s = quoted(schema)
        return """
            DO $migration$
            DECLARE
              v_version integer := 0;
            BEGIN
              PERFORM set_config('lock_timeout', '2000', true);
              PERFORM pg_advisory_xact_lock(-1, hashtext('\(schema)'));
              IF to_regnamespace('\(s)') IS NULL THEN CREATE SCHEMA \(s); END IF;
              IF to_regclass('\(s).meta') IS NOT NULL THEN SELECT schema_version INTO v_version FROM \(s).meta; END IF;
              IF v_version < \(step.version) THEN
            \(step.statements(s).map { $0 + ";" }.joined(separator: "\n"))
            INSERT INTO \(s).meta (schema_version, minimum_client) VALUES (\(step.version), \(step.minimumClient))
              ON CONFLICT (one) DO UPDATE
              SET schema_version = excluded.schema_version, minimum_client = excluded.minimum_client;
              END IF;
            END $migration$
            """
    }

    /// The name as an identifier, also if the name is a word of SQL.
    static func quoted(_ schema: String) -> String { "\"\(schema)\"" }

    /// Rejects a name that is not a plain identifier, because the name becomes a part of statements.
    static func check(_ schema: String) throws(StoreError) {
        let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        let bytes = Array(schema.utf8)
        let isValid =
            (1...63).contains(bytes.count) && !digits.contains(bytes[0])
            && bytes.allSatisfy { letters.contains($0) || digits.contains($0) || $0 == UInt8(ascii: "_") }
        guard isValid else {
            throw StoreError(.invalid, "the schema's name must match [a-z_][a-z0-9_]* and have 1 to 63 bytes")
        }
    }
}

/// A step from one version of the schema to the next.
///
/// A function keeps its name and its meaning forever. A change of a function is a new function with another suffix, so
/// old and new processes work at the same time.
struct SchemaStep: Sendable {
    /// The version of the schema after the step.
    let version: Int
    /// The oldest version of the library's statements that works after the step.
    let minimumClient: Int
    /// The statements that make the step in a given schema.
    let statements: @Sendable (_ schema: String) -> [String]
    /// The statements that take the step back.
    let rollback: @Sendable (_ schema: String) -> [String]

    static let all = [
        SchemaStep(
            version: 1,
            minimumClient: 1,
            statements: { s in
                tables(s) + [
                    clockFunctions(s), writeFunction(s), commitFunction(s), decideFunction(s), updateFunctions(s),
                    enqueueFunction(s), claimFunction(s), settleFunction(s), sweepFunction(s),
                ]
            },
            rollback: { ["DROP SCHEMA \($0) CASCADE"] }
        )
    ]

    // The key of an entry and the identity of a record are `bytea`: `text` holds no zero byte and is compared by
    // collation. Times are microseconds since 1970. No index on `expires`: a write of a counter then touches no index.
    private static func tables(_ s: String) -> [String] {
        [
            """
            CREATE TABLE \(s).meta (
              one boolean PRIMARY KEY DEFAULT true CHECK (one),
              schema_version integer NOT NULL,
              minimum_client integer NOT NULL)
            """,
            "CREATE SEQUENCE \(s).version_seq AS bigint",
            """
            CREATE TABLE \(s).entry (key bytea PRIMARY KEY, version bigint NOT NULL, expires bigint, value bytea NOT NULL)
              WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
                    autovacuum_vacuum_cost_delay = 0)
            """,
            "ALTER TABLE \(s).entry ALTER COLUMN value SET STORAGE EXTERNAL",
            """
            CREATE TABLE \(s).record (
              queue bytea, id bytea, version bigint NOT NULL, due bigint NOT NULL, attempts integer NOT NULL,
              state smallint NOT NULL, reason bytea, payload bytea NOT NULL, PRIMARY KEY (queue, id))
              WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
                    autovacuum_vacuum_cost_delay = 0)
            """,
            "ALTER TABLE \(s).record ALTER COLUMN payload SET STORAGE EXTERNAL",
            "CREATE INDEX record_due ON \(s).record (queue, due, version) WHERE state < 2",
            "CREATE INDEX record_dead ON \(s).record (queue, id) WHERE state = 2",
        ]
    }

    /// The beginning of each function that writes: the isolation, under which each statement sees all commits.
    static let requiresReadCommitted = """
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE EXCEPTION USING ERRCODE = '\(ServerError.wrongIsolation)',
              MESSAGE = 'the isolation must be read committed';
          END IF;
        """

    // A version is the timeline of the write-ahead log and a number of the sequence. A promoted standby may have lost the
    // last numbers of the sequence, but its timeline is higher.
    private static func clockFunctions(_ s: String) -> String {
        """
        CREATE FUNCTION \(s).clock_v1() RETURNS bigint LANGUAGE sql VOLATILE AS $function$
          SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
        $function$;
        CREATE FUNCTION \(s).next_version_v1() RETURNS bigint LANGUAGE sql VOLATILE AS $function$
          SELECT (('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint << 47)
            + nextval('\(s).version_seq')
        $function$;
        CREATE FUNCTION \(s).lock_class_v1() RETURNS integer LANGUAGE sql STABLE AS $function$
          SELECT ('\(s)'::regnamespace::oid::bigint & 2147483647)::integer
        $function$
        """
    }
}

/// The texts of the statements of a store, which differ only in the name of the schema.
struct Statements: Sendable {
    let schema: String
    let get: String
    let write: String
    let commit: String
    /// The commit of at least one record.
    let commitWithRecords: String
    let update: String
    let updateOne: String
    let scan: String
    let enqueue: String
    let claim: String
    let settle: String
    let nextDue: String
    let counts: String
    let pending: String
    let deadLetters: String
    let expired: String
    let sweep: String

    /// Creates the texts.
    ///
    /// - Parameters:
    ///   - schema: The name of the schema.
    ///   - notifies: `true` if new records send a notification when their transaction is committed. Defaults to `false`.
    init(schema: String, notifies: Bool = false) {
        self.schema = schema
        let s = PostgresSchema.quoted(schema)
        // The channel has the name of the schema, and the payload is the queue. The server sends equal notifications of
        // a transaction once.
        func notification(of queue: String, if condition: String) -> String {
            notifies ? ", CASE WHEN \(condition) THEN pg_notify('\(schema)', encode(\(queue), 'hex'))::text END" : ""
        }
        func call(_ function: String, _ count: Int, columns: String = "*") -> String {
            "SELECT \(columns) FROM \(s).\(function)(\((1...count).map { "$\($0)" }.joined(separator: ", ")))"
        }
        get = """
            WITH t AS MATERIALIZED (SELECT \(s).clock_v1() AS now)
            SELECT t.now, e.version, e.expires, e.value
            FROM t CROSS JOIN unnest($1) WITH ORDINALITY AS k (key, n)
            LEFT JOIN \(s).entry e ON e.key = k.key AND (e.expires IS NULL OR e.expires > t.now)
            ORDER BY k.n
            """
        write = call("write_v1", 7)
        commit = call("commit_v1", 11)
        commitWithRecords = call(
            "commit_v1",
            11,
            columns: "*" + notification(of: "($8)[o_place + 1]", if: "o_kind = 2 AND o_version = 0")
        )
        update = call("update_v1", 7)
        updateOne = call("update_one_v1", 7)
        // $1 is the first key, $2 whether the first key belongs to the page, $3 the end and $4 the limit of the page.
        // Expired entries count towards the limit, so a page takes the same time for any number of them.
        scan = """
            WITH t AS MATERIALIZED (SELECT \(s).clock_v1() AS now),
            page AS MATERIALIZED (
              SELECT e.key, e.version, e.expires, e.value,
                row_number() OVER (ORDER BY e.key) AS n, count(*) OVER () AS total,
                sum(length(e.value)) OVER (ORDER BY e.key) - length(e.value) AS before
              FROM (SELECT * FROM \(s).entry WHERE (key > $1 OR key = $1 AND $2) AND key >= $1 AND key < $3
                ORDER BY key LIMIT $4 + 1) e)
            SELECT t.now, page.total, page.n, page.key, page.version, page.expires,
              CASE WHEN page.expires IS NULL OR page.expires > t.now THEN page.value END
            FROM t CROSS JOIN page WHERE page.n <= $4 AND page.before < 1048576 ORDER BY page.n
            """
        enqueue = """
            SELECT u.flag\(notification(of: "($1)[u.n]", if: "u.flag = 0"))
            FROM unnest(\(s).enqueue_v1($1, $2, $3, $4)) WITH ORDINALITY AS u (flag, n) ORDER BY u.n
            """
        claim = call("claim_v1", 4)
        settle =
            "SELECT u.fits FROM unnest(\(s).settle_v1($1, $2, $3, $4, $5, $6)) WITH ORDINALITY AS u (fits, n) ORDER BY u.n"
        nextDue = """
            SELECT r.due - \(s).clock_v1() FROM \(s).record r WHERE r.queue = $1 AND r.state < 2 ORDER BY r.due LIMIT 1
            """
        counts = """
            SELECT (SELECT count(*) FROM \(s).record r WHERE r.queue = $1 AND r.state < 2),
              (SELECT count(*) FROM \(s).record r WHERE r.queue = $1 AND r.state = 2)
            """
        func page(_ condition: String) -> String {
            """
            WITH page AS MATERIALIZED (
              SELECT r.*, row_number() OVER (ORDER BY r.id) AS n, count(*) OVER () AS total,
                sum(length(r.payload)) OVER (ORDER BY r.id) - length(r.payload) AS before
              FROM (SELECT * FROM \(s).record WHERE queue = $1 AND \(condition) AND id > $2 ORDER BY id LIMIT $3 + 1) r)
            SELECT \(s).clock_v1(), page.total, page.id, page.payload, page.version, page.attempts, page.state, page.due,
              page.reason
            FROM page WHERE page.n <= $3 AND page.before < 1048576 ORDER BY page.n
            """
        }
        pending = page("state < 2")
        deadLetters = page("state = 2")
        // The expired keys of a page and its last key.
        expired = """
            WITH t AS MATERIALIZED (SELECT \(s).clock_v1() AS now)
            SELECT p.key, coalesce(p.expires <= t.now, false), p.total FROM t CROSS JOIN (
              SELECT e.key, e.expires, row_number() OVER (ORDER BY e.key) AS n, count(*) OVER () AS total
              FROM (SELECT key, expires FROM \(s).entry WHERE key > $1 ORDER BY key LIMIT $2) e) p
            WHERE p.expires <= t.now OR p.n = p.total ORDER BY p.n
            """
        sweep = "SELECT \(s).sweep_v1($1, $2)"
    }
}

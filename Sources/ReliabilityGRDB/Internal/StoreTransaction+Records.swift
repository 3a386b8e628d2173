#if GRDB
// GRDB represents blobs as Data.
internal import Foundation
internal import GRDB
internal import ReliabilityCore
internal import ReliabilityStore

extension StoreTransaction {
    /// The states of a record in its table.
    private enum State {
        static let pending = 0
        /// Claimed and not settled since, or held back, even if the lease has ended.
        static let leased = 1
        static let dead = 2
    }

    /// A record in its table, without the payload.
    private struct Record {
        let version: Int64
        var due: Int64
        var attempts: Int64
        var state: Int
        var reason: String?

        /// Reads the columns version, due, attempts and state from an index on.
        init(_ row: Row, from index: Int) throws {
            version = try row.decode(atIndex: index)
            due = try row.decode(atIndex: index + 1)
            attempts = max(0, try row.decode(Int64.self, atIndex: index + 2))
            state = try row.decode(atIndex: index + 3)
        }
    }

    // MARK: Enqueueing

    /// Returns the result of enqueueing each record, without a change.
    func evaluate(_ records: [NewRecord]) throws -> [EnqueueResult] {
        // The payloads of the new records, for a record that the call contains twice.
        var added: [[[UInt8]]: [UInt8]] = [:]
        return try records.map { record in
            let row = try row(
                "SELECT state, payload FROM reliability_record WHERE queue = ? AND id = ?",
                [record.queue.description.blob, record.id.blob]
            )
            let identity = [Array(record.queue.description.utf8), Array(record.id.utf8)]
            if let row {
                if try row.decode(Int.self, atIndex: 0) == State.dead { return .taken(by: .deadLetter) }
                return try row.bytes(1) == record.payload ? .duplicate : .taken(by: .pending)
            }
            if let payload = added[identity] { return payload == record.payload ? .duplicate : .taken(by: .pending) }
            added[identity] = record.payload
            return .enqueued
        }
    }

    /// Adds the records that are evaluated as enqueued.
    mutating func insert(_ records: [NewRecord], _ results: [EnqueueResult]) throws {
        for (record, result) in zip(records, results) where result == .enqueued {
            try execute(
                """
                INSERT INTO reliability_record (queue, id, version, due, attempts, state, payload)
                VALUES (?, ?, ?, ?, 0, 0, ?)
                """,
                [
                    record.queue.description.blob, record.id.blob, nextVersion(), instant(after: record.delay),
                    Data(record.payload),
                ]
            )
        }
    }

    mutating func enqueue(_ records: [NewRecord]) throws -> [EnqueueResult] {
        let results = try evaluate(records)
        try insert(records, results)
        if results.contains(.enqueued) { try saveCounter() }
        return results
    }

    // MARK: Claiming and settling

    mutating func claim(_ queue: QueueName, limit: Int, lease: Duration) throws -> [RecordClaim] {
        let rows = try rows(
            """
            SELECT id, payload, version, due, attempts, state FROM reliability_record
            WHERE queue = ? AND state < 2 AND due <= ? ORDER BY due, version LIMIT ?
            """,
            [queue.description.blob, now, limit]
        )
        var claims: [RecordClaim] = []
        for row in rows {
            let record = try Record(row, from: 2)
            let id = try row.text(0)
            let version = nextVersion()
            let attempts = min(record.attempts, .max - 1) + 1
            try execute(
                "UPDATE reliability_record SET version = ?, due = ?, attempts = ?, state = 1 WHERE queue = ? AND id = ?",
                [version, instant(after: lease), attempts, queue.description.blob, id.blob]
            )
            claims.append(
                RecordClaim(
                    queue: queue,
                    id: id,
                    payload: try row.bytes(1),
                    attempt: Int(attempts),
                    token: StoreVersion(version),
                    wasAbandoned: record.state == State.leased
                )
            )
        }
        if !claims.isEmpty { try saveCounter() }
        return claims
    }

    mutating func settle(_ settlements: [Settlement]) throws -> [SettleResult] {
        var results: [SettleResult] = []
        for settlement in settlements { results.append(try settle(settlement) ? .settled : .stale) }
        if results.contains(.settled) { try saveCounter() }
        return results
    }

    private mutating func settle(_ settlement: Settlement) throws -> Bool {
        let key: StatementArguments = [settlement.queue.description.blob, settlement.id.blob]
        let row = try row(
            "SELECT version, due, attempts, state FROM reliability_record WHERE queue = ? AND id = ?",
            key
        )
        guard let row else { return false }
        var record = try Record(row, from: 0)
        guard StoreVersion(record.version) == settlement.token else { return false }
        if settlement.action == .done {
            try execute("DELETE FROM reliability_record WHERE queue = ? AND id = ?", key)
            return true
        }
        if (record.state == State.dead) != (settlement.action == .redrive) { return false }
        var keepsVersion = false
        switch settlement.action {
        case .done: break
        case .retry(let wait, let countsAttempt):
            if !countsAttempt { record.attempts = max(0, record.attempts - 1) }
            (record.due, record.state) = (instant(after: wait), State.pending)
        case .holdBack(let wait):
            record.attempts = max(0, record.attempts - 1)
            (record.due, record.state) = (instant(after: wait), State.leased)
        case .extend(let lease): (record.due, keepsVersion) = (instant(after: lease), true)
        case .deadLetter(let reason):
            record.reason = reason.prefix(bytes: 1024)
            (record.due, record.state) = (now, State.dead)
        case .redrive: (record.due, record.attempts, record.state) = (now, 0, State.pending)
        }
        try execute(
            """
            UPDATE reliability_record SET version = ?, due = ?, attempts = ?, state = ?, reason = ?
            WHERE queue = ? AND id = ?
            """,
            [
                keepsVersion ? record.version : nextVersion(), record.due, record.attempts, record.state,
                record.reason?.blob,
            ]
                + key
        )
        return true
    }

    // MARK: Reading

    func nextDue(_ queue: QueueName) throws -> Duration? {
        let row = try row(
            "SELECT due FROM reliability_record WHERE queue = ? AND state < 2 ORDER BY due LIMIT 1",
            [queue.description.blob]
        )
        return try row.map { wait(until: try $0.decode(atIndex: 0)) }
    }

    func counts(_ queue: QueueName) throws -> RecordCounts {
        let row = try row(
            """
            SELECT (SELECT count(*) FROM reliability_record WHERE queue = ?1 AND state < 2),
                   (SELECT count(*) FROM reliability_record WHERE queue = ?1 AND state = 2)
            """,
            [queue.description.blob]
        )
        guard let row else { return RecordCounts(pending: 0, deadLetters: 0) }
        return RecordCounts(pending: try row.decode(atIndex: 0), deadLetters: try row.decode(atIndex: 1))
    }

    /// Reads a page of at most 256 records and about 1 MiB of payloads.
    func page(_ queue: QueueName, _ state: RecordState, after: String?, limit: Int) throws -> RecordPage {
        let limit = min(limit, 256)
        var records: [RecordInfo] = []
        var (bytes, next) = (0, nil as String?)
        try forEachRow(
            """
            SELECT id, payload, version, due, attempts, state, reason FROM reliability_record
            WHERE queue = ? AND \(state == .pending ? "state < 2" : "state = 2") AND id > ? ORDER BY id
            """,
            [queue.description.blob, (after ?? "").blob]
        ) { row in
            guard records.count < limit, bytes < 1 << 20 else {
                next = records.last?.id
                return false
            }
            let record = try Record(row, from: 2)
            let payload = try row.bytes(1)
            bytes += payload.count
            let isDead = record.state == State.dead
            let wait = wait(until: record.due)
            records.append(
                RecordInfo(
                    id: try row.text(0),
                    payload: payload,
                    version: StoreVersion(record.version),
                    attempts: Int(record.attempts),
                    isLeased: record.state == State.leased && record.due > now,
                    due: isDead ? min(.zero, wait) : wait,
                    deadLetterReason: isDead
                        ? try row.decode(Data?.self, atIndex: 6).map { String(decoding: $0, as: UTF8.self) } : nil
                )
            )
            return true
        }
        return RecordPage(records: records, next: next)
    }
}
#endif

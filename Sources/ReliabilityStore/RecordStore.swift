public import ReliabilityCore

/// The name of a queue of records.
///
/// It has 1 to 64 bytes; a store refuses others, and tells names apart by their bytes.
public struct RecordQueue: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The name.
    public let description: String

    /// Creates a queue's name.
    public init(_ name: String) { description = name }

    /// Creates a queue's name from a literal.
    public init(stringLiteral value: String) { description = value }
}

/// A record to enqueue.
public struct NewRecord: Hashable, Sendable {
    /// The queue.
    public var queue: RecordQueue
    /// The record's identity in its queue: one record in the queue has it at a time, dead ones included.
    ///
    /// It has 1 to 256 bytes; a store refuses others, and tells ids apart by their bytes.
    public var id: String
    /// The content.
    public var payload: [UInt8]
    /// How long until it is due; zero or less for at once.
    ///
    /// A store may round this, and any other wait or lease, up by less than a millisecond, and never down.
    public var delay: Duration

    /// Creates a record.
    public init(queue: RecordQueue, id: String, payload: [UInt8], delay: Duration = .zero) {
        self.queue = queue
        self.id = id
        self.payload = payload
        self.delay = delay
    }
}

/// A record that was handed to a worker, with the right to settle it.
public struct RecordClaim: Hashable, Sendable {
    /// The record's queue.
    public let queue: RecordQueue
    /// The record's identity in its queue.
    public let id: String
    /// The content.
    public let payload: [UInt8]
    /// Which delivery this is, from 1.
    ///
    /// It counts when the record is claimed, so a worker that dies counts too.
    public let attempt: Int
    /// The fencing token: the record can be settled while this is its version.
    public let token: StoreVersion
    /// Whether an earlier delivery was never settled: its lease ended first, or the store's owner did.
    ///
    /// The worker may have crashed, and this record may be the reason. It stays so until a delivery is settled with
    /// ``Settlement/Action/retry(after:countsAttempt:)``, whether that counts or not, or the record is redriven.
    public let wasAbandoned: Bool

    /// Creates a claim.
    public init(
        queue: RecordQueue,
        id: String,
        payload: [UInt8],
        attempt: Int,
        token: StoreVersion,
        wasAbandoned: Bool
    ) {
        self.queue = queue
        self.id = id
        self.payload = payload
        self.attempt = attempt
        self.token = token
        self.wasAbandoned = wasAbandoned
    }
}

/// What to do with a record.
public struct Settlement: Hashable, Sendable {
    /// What to do.
    public enum Action: Hashable, Sendable {
        /// The work is done: remove the record, also one that is dead.
        case done
        /// Deliver it again, after a wait.
        ///
        /// `countsAttempt: false` gives the attempt back. The record gets a new version: the token is used up.
        case retry(after: Duration, countsAttempt: Bool)
        /// Hand it out again after a wait, undelivered, as one whose delivery was abandoned.
        ///
        /// The attempt is given back, the record gets a new version, and its next claim says
        /// ``RecordClaim/wasAbandoned``. Until the wait is over the record counts as leased. In a store with one owner, the
        /// next opening ends the wait.
        case holdBack(Duration)
        /// Hold it for longer, from now on.
        ///
        /// The token stays valid. It is positive.
        case extend(Duration)
        /// Deliver it no more; keep it aside with a reason.
        ///
        /// Of the reason at most the first 1,024 bytes are stored, without part of a character. The record gets a new
        /// version.
        case dead(reason: String)
        /// Deliver a dead record again, its attempts counted from none.
        ///
        /// The token is the dead record's version; the record gets a new one. Of the other actions, a dead record takes
        /// only `done`.
        case redrive
    }

    /// The record's queue.
    public var queue: RecordQueue
    /// The record's identity in its queue.
    public var id: String
    /// The claim's token.
    public var token: StoreVersion
    /// What to do.
    public var action: Action

    /// Settles a claim.
    public init(_ claim: RecordClaim, _ action: Action) {
        self.init(queue: claim.queue, id: claim.id, token: claim.token, action)
    }

    /// Settles a record by its identity and token.
    public init(queue: RecordQueue, id: String, token: StoreVersion, _ action: Action) {
        self.queue = queue
        self.id = id
        self.token = token
        self.action = action
    }
}

/// What became of a settlement.
public enum SettleResult: Hashable, Sendable {
    /// It happened.
    case settled
    /// The token is not the record's any more (or the record is gone): nothing changed.
    case stale
}

/// What became of a record that was to be enqueued.
public enum EnqueueResult: Hashable, Sendable {
    /// It is in the queue now.
    case enqueued
    /// It was there already, pending and with the same payload; nothing changed.
    case duplicate
    /// Its identity belongs to another record, which is dead or has another payload; it was not stored.
    ///
    /// Nothing delivers it. One that is dead has to be redriven or removed before its identity is free again.
    case taken(by: RecordState)
}

/// The result of a commit with records.
public enum RecordCommitResult: Hashable, Sendable {
    /// All writes happened, and all records are pending, in one step.
    ///
    /// One version for each write, as in ``CommitResult/committed(_:)``; and for each record whether it is new
    /// (``EnqueueResult/enqueued``) or was pending with the same payload (``EnqueueResult/duplicate``).
    case committed([StoreVersion?], records: [EnqueueResult])
    /// Nothing happened: the write at this index found its precondition false.
    ///
    /// `current` is what is there now.
    case conflict(index: Int, current: StoreEntry?)
    /// Nothing happened: the identity of the record at this index belongs to another record in that state, which is dead
    /// or has another payload.
    case taken(index: Int, by: RecordState)
}

/// The state of a record.
public enum RecordState: Hashable, Sendable {
    /// Due now or later, or held by a worker.
    case pending
    /// Set aside.
    case dead
}

/// A record as it is stored.
public struct RecordInfo: Hashable, Sendable {
    /// The record's identity in its queue.
    public let id: String
    /// The content.
    public let payload: [UInt8]
    /// Its present version: the token to redrive a dead record with.
    public let version: StoreVersion
    /// How many deliveries began.
    public let attempts: Int
    /// Whether a worker holds it, or it is held back.
    public let isLeased: Bool
    /// The time until the record is due, or until its lease ends; negative once it has been due for that long.
    ///
    /// For a dead record, how long it has been dead, as a negative duration.
    public let due: Duration
    /// Why it is dead; nil when it is not.
    public let deadReason: String?

    /// Creates a description of a record.
    public init(
        id: String,
        payload: [UInt8],
        version: StoreVersion,
        attempts: Int,
        isLeased: Bool,
        due: Duration,
        deadReason: String?
    ) {
        self.id = id
        self.payload = payload
        self.version = version
        self.attempts = attempts
        self.isLeased = isLeased
        self.due = due
        self.deadReason = deadReason
    }
}

/// One page of records, in the order of their ids' bytes.
public struct RecordPage: Hashable, Sendable {
    /// The records.
    public let records: [RecordInfo]
    /// Where to go on: the `after` of the next call; nil at the end.
    public let next: String?

    /// Creates a page.
    public init(records: [RecordInfo], next: String?) {
        self.records = records
        self.next = next
    }
}

/// How many records a queue has.
public struct RecordCounts: Hashable, Sendable {
    /// Records that are due now or later, or held by a worker.
    public let pending: Int
    /// Records that were set aside.
    public let dead: Int

    /// Creates counts.
    public init(pending: Int, dead: Int) {
        self.pending = pending
        self.dead = dead
    }
}

/// A key-value store that also keeps queues of records, each due at its time, handed out under leases.
///
/// In a store with one owner at a time, opening the store ends all leases of the owner before; their next claims say
/// ``RecordClaim/wasAbandoned``. A full store refuses new records, and hands out and settles those that it has.
public protocol RecordStore: KeyValueStore {
    /// Adds records, all in one step.
    ///
    /// - Parameter records: The records, at most as many as a commit may have writes.
    /// - Returns: For each, what became of it.
    /// - Throws: `StoreError`.
    func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult]

    /// Makes all writes and adds all records in one step, or none.
    ///
    /// A record that is pending already with the same payload changes nothing and is no conflict. A record whose
    /// identity belongs to another one, dead or of another payload, is: a commit that succeeds leaves all of its records
    /// pending. Writes are judged before records.
    ///
    /// - Parameters:
    ///   - writes: What to write, and on what conditions.
    ///   - records: The records.
    /// - Returns: The new versions of the writes and what became of the records; or the first conflict.
    /// - Throws: `StoreError`.
    func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult

    /// Hands out due records, those due first before others, each to one caller until its lease ends.
    ///
    /// Each gets a new version, its token. There are fewer than `limit` only where fewer are due, or where `limit` exceeds
    /// ``StoreCapabilities/maximumWrites``.
    ///
    /// - Parameters:
    ///   - queue: The queue.
    ///   - limit: The most records to return; at least 1.
    ///   - lease: How long the caller holds them; positive.
    /// - Returns: The records, none when nothing is due.
    /// - Throws: `StoreError`.
    func claim(_ queue: RecordQueue, limit: Int, lease: Duration) async throws(StoreError) -> [RecordClaim]

    /// Settles records, all in one step; one whose token is stale is left alone and says so.
    ///
    /// - Parameter settlements: What to do with which record, at most as many as a commit may have writes; a record may
    ///   appear once.
    /// - Returns: What became of each.
    /// - Throws: `StoreError`.
    func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult]

    /// How long until a record of the queue is due, or the lease of one ends; zero when one is due.
    ///
    /// - Parameter queue: The queue.
    /// - Returns: The time, or nil when nothing is pending.
    /// - Throws: `StoreError`.
    func nextDue(_ queue: RecordQueue) async throws(StoreError) -> Duration?

    /// How many records the queue has.
    ///
    /// - Parameter queue: The queue.
    /// - Returns: The counts.
    /// - Throws: `StoreError`.
    func counts(_ queue: RecordQueue) async throws(StoreError) -> RecordCounts

    /// Reads records of one state.
    ///
    /// A record that does not change while all pages are read appears exactly once. A page may hold less than `limit`;
    /// only where its `next` is nil was it the last.
    ///
    /// - Parameters:
    ///   - queue: The queue.
    ///   - state: Which records.
    ///   - after: Where the last page ended.
    ///   - limit: The most records to return; at least 1.
    /// - Returns: A page.
    /// - Throws: `StoreError`.
    func page(
        _ queue: RecordQueue,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage
}

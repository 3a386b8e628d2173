internal import ReliabilityCore
internal import ReliabilityStore

/// The course of one attempt to end a claim, by a result or without one.
struct SettleAttempt: Sendable {
    /// What follows.
    enum Action: Hashable {
        /// Write on this condition.
        case write(if: Precondition)
        /// It is settled.
        case settled
        /// The key is another caller's.
        case lost
        /// The store failed.
        case giveUp
    }

    private static let maximumRounds = 4

    private let token: StoreVersion
    private let nonce: [UInt8]
    /// What to leave; nil to leave nothing.
    private let record: DedupRecord?
    private let expiry: Expiry
    private var rounds = 1

    /// Leaves a record.
    init(token: StoreVersion, record: DedupRecord, expiry: Expiry) {
        self.token = token
        self.record = record
        self.expiry = expiry
        nonce = record.nonce
    }

    /// Leaves nothing.
    init(releasing claim: DedupRecord, token: StoreVersion) {
        self.token = token
        record = nil
        expiry = .keep
        nonce = claim.nonce
    }

    var first: Action { .write(if: .version(token)) }

    func write(_ key: StoreKey, if condition: Precondition) -> StoreWrite {
        record.map { .put(key, $0.bytes, expiry, if: condition) } ?? .delete(key, if: condition)
    }

    /// The condition did not hold: this is what is there.
    mutating func conflicted(with entry: StoreEntry?) -> Action {
        guard let entry else {
            // The lease ended and nobody has claimed the key since. A result is as true as before: keep it.
            return record == nil ? .settled : next(.absent)
        }
        guard let found = DedupRecord(entry.value), found.nonce == nonce else { return .lost }
        // An earlier write happened although nobody could say so; or our claim was written twice.
        return found == record ? .settled : next(.version(entry.version))
    }

    /// The store threw; the condition, and what is written, make it safe to try again whatever happened.
    mutating func failed() -> Action { next(.version(token)) }

    private mutating func next(_ condition: Precondition) -> Action {
        rounds += 1
        return rounds <= Self.maximumRounds ? .write(if: condition) : .giveUp
    }
}

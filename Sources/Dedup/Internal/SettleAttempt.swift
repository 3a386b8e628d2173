internal import ReliabilityCore
internal import ReliabilityStore

/// The course of the end of a claim: what to write next, and the meaning of the store's answer.
///
/// A result that has no room is replaced by a mark that the operation ran. The mark is as large as the claim whose place
/// it takes, so a store that is full has room for it.
struct SettleAttempt: Sendable {
    /// The end of the course.
    enum Answer: Sendable {
        /// The record is written, or the claim is given up.
        case settled
        /// The mark is written, with this version, because the store had no room for the record.
        case marked(StoreVersion?, StoreError)
        /// The key is another caller's.
        case lost
    }

    private let nonce: [UInt8]
    /// What to leave; `nil` to leave nothing.
    private let record: DedupRecord?
    /// What to leave where there is no room for the record, or `nil`.
    private let mark: DedupRecord?
    private let expiry: Expiry
    private var condition: Precondition
    /// Why there is no room for the record; not `nil` while the mark is next.
    private var refusal: StoreError?
    private var mayBeReleased = false

    /// Leaves a record, or the mark if `canMark` says so.
    init(token: StoreVersion, record: DedupRecord, expiry: Expiry, canMark: Bool = true) {
        self.record = record
        self.expiry = expiry
        nonce = record.nonce
        mark = canMark ? record.mark : nil
        condition = .version(token)
    }

    /// Leaves nothing.
    init(releasing claim: DedupRecord, token: StoreVersion) {
        record = nil
        mark = nil
        expiry = .keep
        nonce = claim.nonce
        condition = .version(token)
    }

    /// The next write.
    func write(_ key: StoreKey) -> StoreWrite {
        let next = refusal == nil ? record : mark
        return next.map { .put(key, $0.bytes, expiry, if: condition) } ?? .delete(key, if: condition)
    }

    /// The store made the write.
    func committed(_ version: StoreVersion?) -> Answer { refusal.map { .marked(version, $0) } ?? .settled }

    /// The condition did not hold, and this is there.
    ///
    /// - Parameter entry: The entry.
    /// - Returns: The end of the course, or `nil` if the write is to be made again.
    mutating func conflicted(with entry: StoreEntry?) -> Answer? {
        guard let entry else {
            if record == nil { return .settled }
            // The claim has expired and nobody has claimed the key since. A result is as true as before: keep it.
            condition = .absent
            return nil
        }
        guard let found = DedupRecord(entry.value), found.nonce == nonce else {
            // After an unknown outcome: the claim was given up, and the key is another caller's since.
            return mayBeReleased ? .settled : .lost
        }
        // An earlier write happened although nobody could say so.
        if found == record { return .settled }
        if found == mark, let refusal { return .marked(entry.version, refusal) }
        condition = .version(entry.version)
        return nil
    }

    /// The store threw.
    ///
    /// - Parameter error: What it threw.
    /// - Returns: Whether there is another write to make before a wait.
    mutating func failed(_ error: StoreError) -> Bool {
        switch error.reason {
        case .capacityExceeded, .diskFull, .invalid:
            if mark != nil, refusal == nil {
                refusal = error
                return true
            }
            // Perhaps there is room for the record the next time.
            refusal = nil
        case .unknownOutcome: mayBeReleased = record == nil
        default: break
        }
        return false
    }
}

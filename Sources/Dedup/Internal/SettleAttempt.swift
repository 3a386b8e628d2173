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

    private let id: ClaimID
    /// What to leave; `nil` to give the claim up.
    private let record: DedupRecord?
    /// What to leave where there is no room for the record, or `nil`.
    private let mark: DedupRecord?
    private let expiry: Expiry
    private let endsLeaseOnly: Bool
    private var condition: Precondition
    /// Why there is no room for the record; not `nil` while the mark is next.
    private var refusal: StoreError?
    private var mayBeReleased = false

    /// Leaves a record, or the mark if `canMark` says so.
    init(token: StoreVersion, record: DedupRecord, expiry: Expiry, canMark: Bool = true) {
        self.record = record
        self.expiry = expiry
        endsLeaseOnly = false
        id = record.id
        mark = canMark ? record.mark : nil
        condition = .version(token)
    }

    /// Gives a claim up.
    ///
    /// - Parameters:
    ///   - claim: The claim.
    ///   - token: The claim's token; `nil` if it is not known whether the claim was written.
    ///   - isTakeover: Whether it took the place of one that was never settled. Then only its lease ends: the next caller
    ///     is to know that too.
    init(releasing claim: DedupRecord, token: StoreVersion?, isTakeover: Bool) {
        record = nil
        mark = nil
        id = claim.id
        // A whole millisecond less, because a store may round an expiry up by a part of one.
        expiry = isTakeover ? .after(.milliseconds(max(claim.memory, 2) - 1)) : .never
        endsLeaseOnly = isTakeover
        condition = token.map { .version($0) } ?? .absent
    }

    /// The next write.
    func write(_ key: StoreKey) -> StoreWrite {
        if let next = refusal == nil ? record : mark { return .put(key, next.bytes, expiry, if: condition) }
        return endsLeaseOnly ? .touch(key, expiry, if: condition) : .delete(key, if: condition)
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
        guard let found = DedupRecord(entry.value), found.id == id else {
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

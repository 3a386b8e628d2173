internal import ReliabilityStore

/// The state machine that settles a claim: decides the next write from the answers of the store.
///
/// If the store has no room for a result, a record without the result is written. That record has the size of the claim
/// that it replaces, so a full store has room for it.
struct SettleStateMachine: Sendable {
    /// The final state of a claim.
    enum Answer: Sendable {
        /// The record is written, or the claim is released.
        case settled
        /// The record without its result is written with this version. The error is the store's rejection of the
        /// result.
        case settledWithoutResult(StoreVersion?, StoreError)
        /// Another caller holds the key.
        case lost
    }

    private let id: ClaimID
    /// The record to write, or `nil` to release the claim.
    private let record: StoredClaim?
    /// The record to write if the store has no room for the result, or `nil` if the result must not be dropped.
    private let recordWithoutResult: StoredClaim?
    private let expiry: Expiry
    private let endsLeaseOnly: Bool
    private var condition: WriteCondition
    /// The store's rejection of the result, or `nil` while the next write contains the result.
    private var rejection: StoreError?
    private var mayBeReleased = false

    /// Creates the state machine that writes a record.
    ///
    /// - Parameters:
    ///   - token: The token of the claim.
    ///   - record: The record of the operation.
    ///   - expiry: The expiry of the record.
    ///   - mayDropResult: Allows a record without its result if the store has no room. Defaults to `true`.
    init(token: StoreVersion, record: StoredClaim, expiry: Expiry, mayDropResult: Bool = true) {
        self.record = record
        self.expiry = expiry
        endsLeaseOnly = false
        id = record.id
        recordWithoutResult = mayDropResult ? record.withoutResult : nil
        condition = .version(token)
    }

    /// Creates the state machine that releases a claim.
    ///
    /// - Parameters:
    ///   - claim: The claim.
    ///   - token: The token of the claim, or `nil` if the outcome of its write is unknown.
    ///   - isTakeover: Indicates that the claim replaced a claim that was never settled. Then only the lease ends, and
    ///     the entry remains: the next call is a takeover too.
    init(releasing claim: StoredClaim, token: StoreVersion?, isTakeover: Bool) {
        record = nil
        recordWithoutResult = nil
        id = claim.id
        // A millisecond less than the retention ends the lease even in a store that rounds an expiry up.
        expiry = isTakeover ? .after(.milliseconds(max(claim.retentionMilliseconds, 2) - 1)) : .never
        endsLeaseOnly = isTakeover
        condition = token.map { .version($0) } ?? .absent
    }

    /// Returns the next write.
    func write(_ key: StoreKey) -> StoreWrite {
        if let next = rejection == nil ? record : recordWithoutResult {
            return .put(key, next.bytes, expiry, if: condition)
        }
        return endsLeaseOnly ? .touch(key, expiry, if: condition) : .delete(key, if: condition)
    }

    /// Returns the final state after the store has made the write.
    func committed(_ version: StoreVersion?) -> Answer {
        rejection.map { .settledWithoutResult(version, $0) } ?? .settled
    }

    /// Returns the final state after the condition of the write was false.
    ///
    /// - Parameter entry: The entry of the key, or `nil` if there is no entry.
    /// - Returns: The final state, or `nil` if the next write is due.
    mutating func conflicted(with entry: StoreEntry?) -> Answer? {
        guard let entry else {
            if record == nil { return .settled }
            // The claim has expired, and no other caller has claimed the key. The result is still valid.
            condition = .absent
            return nil
        }
        guard let found = StoredClaim(entry.value), found.id == id else {
            // After an unknown outcome, the release may have succeeded and another caller may have claimed the key.
            return mayBeReleased ? .settled : .lost
        }
        // An earlier write succeeded although its outcome was reported as unknown.
        if found == record { return .settled }
        if found == recordWithoutResult, let rejection { return .settledWithoutResult(entry.version, rejection) }
        condition = .version(entry.version)
        return nil
    }

    /// Records an error of the store.
    ///
    /// - Parameter error: The error.
    /// - Returns: `true` if the next write is due immediately, without a wait.
    mutating func failed(_ error: StoreError) -> Bool {
        switch error.reason {
        case .capacityExceeded, .diskFull, .invalid:
            if recordWithoutResult != nil, rejection == nil {
                rejection = error
                return true
            }
            // The next round begins with the complete record, because the store may have room by then.
            rejection = nil
        case .unknownOutcome: mayBeReleased = record == nil
        default: break
        }
        return false
    }
}

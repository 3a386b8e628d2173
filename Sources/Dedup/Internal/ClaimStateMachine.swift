internal import ReliabilityStore

/// The state machine of a call that claims a key: decides the next store call from the answers of the store.
struct ClaimStateMachine {
    /// The next step of the caller.
    enum Action: Hashable {
        /// Write the claim under this condition.
        case put(if: WriteCondition)
        /// Run the operation. The claim is held with this token.
        case own(StoreVersion, isTakeover: Bool)
        /// Return the result of an earlier call.
        case replay([UInt8])
        /// Reject the call.
        case reject(DedupError.Reason)
        /// Apply the failure mode. The store failed, and the holder of the claim is unknown.
        case giveUp
    }

    private static let maxRounds = 8
    private static let maxHint = Duration.seconds(1)

    /// The claim to write.
    let record: StoredClaim
    private let mode: Deduplicator.Mode
    private let openedAt: StoreVersion?
    private let isLocal: @Sendable (ClaimID) -> Bool
    private var condition = WriteCondition.absent
    private var rounds = 0
    /// A Boolean value that indicates whether a write with an unknown outcome may have created the claim.
    private(set) var mayHaveClaimed = false

    /// Creates the state machine of a call.
    ///
    /// - Parameters:
    ///   - record: The claim to write.
    ///   - mode: The answer to a duplicate of a finished call.
    ///   - openedAt: The first version since the present owner opened the store, or `nil` for a store of several
    ///     processes.
    ///   - isLocal: Returns whether the holder of a claim runs in this process.
    init(
        record: StoredClaim,
        mode: Deduplicator.Mode,
        openedAt: StoreVersion?,
        isLocal: @escaping @Sendable (ClaimID) -> Bool
    ) {
        self.record = record
        self.mode = mode
        self.openedAt = openedAt
        self.isLocal = isLocal
    }

    /// The first step.
    var first: Action { .put(if: condition) }

    /// A Boolean value that indicates whether the claim replaces a claim that was never settled.
    var isTakeover: Bool { condition != .absent }

    /// Returns the step after the store has written the claim.
    func committed(_ token: StoreVersion) -> Action { .own(token, isTakeover: isTakeover) }

    /// Returns the step after the condition of the write was false.
    ///
    /// - Parameter entry: The entry of the key, or `nil` if there is no entry.
    /// - Returns: The step.
    mutating func conflicted(with entry: StoreEntry?) -> Action {
        guard let entry else { return put(if: .absent) }
        guard let found = StoredClaim(entry.value) else { return .reject(.unreadable) }
        // An earlier write of this call succeeded although its outcome was reported as unknown.
        if found.id == record.id { return committed(entry.version) }
        // A mismatch precedes every other answer, because the state of the first request does not matter then.
        if found.mismatches(record.digest) { return .reject(.mismatch) }
        switch found.state {
        case .inProgress:
            // The store has a single owner and was opened after the claim was written. The holder is gone, unless the
            // holder runs in this process.
            let isOrphaned = openedAt.map { entry.version < $0 } ?? false
            let lease = entry.remaining.map(found.lease(remaining:)) ?? Self.maxHint
            if isOrphaned || lease <= .zero, !isLocal(found.id) { return put(if: .version(entry.version)) }
            // The rest of the lease is an upper bound only. Most operations end much earlier.
            let hint = lease <= .zero ? Self.maxHint : min(lease, Self.maxHint)
            return .reject(.inProgress(retryAfter: hint))
        case .done:
            if case .replay = mode { return .replay(found.result) }
            return .reject(.duplicate(remaining: entry.remaining))
        case .doneWithoutResult:
            if case .replay = mode { return .reject(.resultNotKept) }
            return .reject(.duplicate(remaining: entry.remaining))
        }
    }

    /// Returns the step after the store has thrown an error.
    mutating func failed(_ error: StoreError) -> Action {
        guard error.reason == .unknownOutcome else { return .giveUp }
        // A second write settles the outcome: it succeeds, or the conflict shows the holder of the claim.
        mayHaveClaimed = true
        return put(if: condition)
    }

    private mutating func put(if condition: WriteCondition) -> Action {
        self.condition = condition
        rounds += 1
        return rounds < Self.maxRounds ? .put(if: condition) : .giveUp
    }
}

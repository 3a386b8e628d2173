internal import ReliabilityCore
internal import ReliabilityStore

/// The course of one attempt to claim a key: what to ask the store next, and what its answer means.
struct ClaimAttempt {
    /// What follows.
    enum Action: Hashable {
        /// Write the claim on this condition.
        case put(if: Precondition)
        /// The claim is ours, with this token.
        case own(StoreVersion, isTakeover: Bool)
        /// It was done before, with this result.
        case replay([UInt8])
        /// Refuse.
        case refuse(DedupError.Reason)
        /// The store failed, and who has the claim cannot be known.
        case giveUp
    }

    private static let maximumRounds = 8
    private static let longestHint = Duration.seconds(1)

    /// The claim to write.
    let record: DedupRecord
    private let mode: DedupMode
    private let openedAt: StoreVersion?
    private let isLive: @Sendable (ClaimID) -> Bool
    private var condition = Precondition.absent
    private var rounds = 0
    /// Whether a write of ours may have happened, or may happen yet, without our knowledge.
    private(set) var mayHaveClaimed = false

    /// Begins an attempt.
    ///
    /// - Parameters:
    ///   - record: The claim to write.
    ///   - mode: What a duplicate of a finished call gets.
    ///   - openedAt: The store's first version since its present owner opened it; `nil` for a store without one owner.
    ///   - isLive: Whether the holder of a claim lives in this process.
    init(
        record: DedupRecord,
        mode: DedupMode,
        openedAt: StoreVersion?,
        isLive: @escaping @Sendable (ClaimID) -> Bool
    ) {
        self.record = record
        self.mode = mode
        self.openedAt = openedAt
        self.isLive = isLive
    }

    /// What to do first.
    var first: Action { .put(if: condition) }

    /// Whether the claim takes the place of one that was never settled.
    var isTakeover: Bool { condition != .absent }

    /// The claim was written.
    func committed(_ token: StoreVersion) -> Action { .own(token, isTakeover: isTakeover) }

    /// The condition did not hold: this is what is there.
    mutating func conflicted(with entry: StoreEntry?) -> Action {
        guard let entry else { return put(if: .absent) }
        guard let found = DedupRecord(entry.value) else { return .refuse(.unreadable) }
        // Ours: an earlier write happened although nobody could say so.
        if found.id == record.id { return committed(entry.version) }
        // Before all else: whatever became of the first request, this is another one.
        if found.contradicts(record.digest) { return .refuse(.mismatch) }
        switch found.state {
        case .inProgress:
            // The store has one owner, and was opened since: its process is gone, unless that is this one.
            let isOrphaned = openedAt.map { entry.version < $0 } ?? false
            let lease = entry.remaining.map(found.lease(remaining:)) ?? Self.longestHint
            if isOrphaned || lease <= .zero, !isLive(found.id) { return put(if: .version(entry.version)) }
            // A lease is renewed while its operation runs, so what is left of it says little: usually it is over much
            // sooner.
            let hint = lease <= .zero ? Self.longestHint : min(lease, Self.longestHint)
            return .refuse(.inProgress(retryAfter: hint))
        case .done:
            if case .replay = mode { return .replay(found.result) }
            return .refuse(.duplicate(remaining: entry.remaining))
        case .doneWithoutResult:
            if case .replay = mode { return .refuse(.resultNotKept) }
            return .refuse(.duplicate(remaining: entry.remaining))
        }
    }

    /// The store threw.
    mutating func failed(_ error: StoreError) -> Action {
        guard error.reason == .unknownOutcome else { return .giveUp }
        // Writing it again tells: either it is written now, or the conflict shows whose it is.
        mayHaveClaimed = true
        return put(if: condition)
    }

    private mutating func put(if condition: Precondition) -> Action {
        self.condition = condition
        rounds += 1
        return rounds < Self.maximumRounds ? .put(if: condition) : .giveUp
    }
}

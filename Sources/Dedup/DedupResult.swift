/// What a deduplicated call returns.
public struct DedupResult<Value> {
    /// What the operation returned, now or the first time.
    public let value: Value

    /// Whether this is the result of an earlier call; the operation did not run now.
    public let isReplay: Bool

    /// Whether the store has it that the operation ran, so that duplicates are recognised.
    ///
    /// False for a result that is not final, after a call without a claim, and after the loss of a claim to another
    /// caller. False also for a store that does not answer: then the deduplicator continues to write the result, and
    /// an event tells how that ended. The operation ran in every case; this is no failure of it.
    public let isStored: Bool
}

extension DedupResult: Sendable where Value: Sendable {}
extension DedupResult: Equatable where Value: Equatable {}

/// The result of a deduplicated call.
public struct DedupResult<Value> {
    /// The operation's result, of this run or of the first.
    public let value: Value

    /// Whether the result is that of an earlier call, so that the operation did not run now.
    public let isReplay: Bool

    /// Whether it is stored that the operation ran, so that duplicates are recognized.
    ///
    /// False for a result that is not final, after a call without a claim, and after the loss of a claim to another
    /// caller. False also for a store that does not answer: then the deduplicator continues to write the result, and
    /// an event tells how that ended. The operation ran in every case; this is no failure of it.
    public let isStored: Bool
}

extension DedupResult: Sendable where Value: Sendable {}
extension DedupResult: Equatable where Value: Equatable {}

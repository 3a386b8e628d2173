/// What a deduplicated call returns.
public struct DedupResult<Value> {
    /// What the operation returned, now or the first time.
    public let value: Value

    /// Whether this is the result of an earlier call; the operation did not run now.
    public let isReplay: Bool

    /// Whether duplicates will be recognised.
    ///
    /// False when the result is not final, when the store was down, or when the claim was lost to another caller.
    /// The operation ran all the same: this is no failure of it.
    public let isStored: Bool
}

extension DedupResult: Sendable where Value: Sendable {}
extension DedupResult: Equatable where Value: Equatable {}

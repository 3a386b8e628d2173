/// The result of a deduplicated call.
public struct DedupResult<Value> {
    /// The value of the operation, from this run or from the first run.
    public let value: Value

    /// A Boolean value that indicates whether the value comes from an earlier call.
    ///
    /// If the value is `true`, the operation did not run for this call.
    public let isReplay: Bool

    /// A Boolean value that indicates whether the store recognizes duplicates of this call.
    ///
    /// The value is `false` in the following cases. The operation ran in all of them.
    ///
    /// - The value is not final.
    /// - The operation ran without a claim.
    /// - Another caller took over the claim.
    /// - The store did not answer in time. The deduplicator continues to write the result, and an event reports the
    ///   outcome.
    public let isStored: Bool
}

extension DedupResult: Sendable where Value: Sendable {}
extension DedupResult: Equatable where Value: Equatable {}

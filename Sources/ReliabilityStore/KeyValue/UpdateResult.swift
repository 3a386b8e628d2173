/// The result of a list of atomic updates.
public struct UpdateResult: Hashable, Sendable {
    /// A Boolean value that indicates whether all updates were made.
    ///
    /// If the value is `false`, no update was made.
    public let isApplied: Bool
    /// The separate decision of each update, in the order of the updates.
    public let decisions: [AtomicUpdate.Decision]

    /// Creates a result.
    public init(isApplied: Bool, decisions: [AtomicUpdate.Decision]) {
        self.isApplied = isApplied
        self.decisions = decisions
    }
}

extension UpdateResult {
    /// Creates the result of a list with one update.
    package init(_ decision: AtomicUpdate.Decision) {
        self.init(isApplied: decision.isAllowed, decisions: [decision])
    }
}

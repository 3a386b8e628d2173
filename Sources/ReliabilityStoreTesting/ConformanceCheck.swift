extension StoreConformance {
    /// A requirement of a check beyond `KeyValueStore`.
    @nonexhaustive
    public enum Need: Hashable, Sendable, CaseIterable, CustomStringConvertible {
        /// The store is a `RecordStore`.
        case records
        /// The manual clock is the store's time source. Time stands still between two operations.
        case exactTime
        /// The store can be closed and opened again with `reopen`.
        case reopening
        /// The store can be ended without a close with `crash`.
        case crashing
        /// A second client can use the same store with `secondClient`.
        case secondClient
        /// The answer to a call can be lost with `loseAnswer`.
        case lostAnswers

        /// The property of the store or of ``StoreConformance`` that meets this requirement.
        public var description: String {
            switch self {
            case .records: "a RecordStore"
            case .exactTime: "the manual clock (no `advance`)"
            case .reopening: "`reopen`"
            case .crashing: "`crash`"
            case .secondClient: "`secondClient`"
            case .lostAnswers: "`loseAnswer`"
            }
        }
    }

    /// A promise of the store contract and the procedure that verifies the promise.
    public struct Check: Identifiable, Sendable, CustomStringConvertible {
        /// A stable name, such as `expiry.boundary`.
        public let id: String
        /// The promise as a sentence without a full stop.
        public let promise: String
        /// The requirements of the check.
        public let needs: Set<Need>
        let body: @Sendable (ConformanceRun) async throws -> Void

        init(
            _ id: String,
            _ promise: String,
            needs: Set<Need> = [],
            _ body: @escaping @Sendable (ConformanceRun) async throws -> Void
        ) {
            self.id = id
            self.promise = promise
            self.needs = needs
            self.body = body
        }

        /// The name and the promise.
        public var description: String { "\(id): \(promise)" }
    }
}

extension StoreConformance {
    /// What a check asks for beyond a `KeyValueStore`.
    @nonexhaustive
    public enum Need: Hashable, Sendable, CaseIterable, CustomStringConvertible {
        /// The store is a `RecordStore`.
        case records
        /// The store's time is the manual clock's, and stands still between two operations.
        case exactTime
        /// The store can be closed and opened again: `reopen`.
        case reopening
        /// The store's owner can be made to end without closing it: `crash`.
        case crashing
        /// A second client can use the store beside the first: `secondClient`.
        case secondClient
        /// The answer to a call can be made to get lost: `loseAnswer`.
        case lostAnswers

        /// What has to be given to ``StoreConformance`` for it.
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

    /// One promise, and how it is checked.
    public struct Check: Identifiable, Sendable, CustomStringConvertible {
        /// A stable name, such as `expiry.boundary`.
        public let id: String
        /// What the store promises.
        public let promise: String
        /// What it takes to check it.
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

/// The description of a policy in a pipeline: limits, attempts, waits and a summary.
///
/// A pipeline computes its worst case from the layers and rejects an order of policies that cannot work.
public struct PolicyLayer: Hashable, Sendable {
    /// The kind of policy.
    ///
    /// The set is open. Compare with the static members and expect other values.
    public struct Kind: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        /// The kind's name.
        public let rawValue: String

        /// Creates a kind from a name.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The kind's name.
        public var description: String { rawValue }

        /// A policy that limits the time of the inner layers.
        public static let timeout = Kind(rawValue: "timeout")
        /// A policy that repeats the inner layers.
        ///
        /// The attempts of nested retries of this library add up. In the first minute of a second or later attempt,
        /// inner retries make a single attempt each, except inside `withoutCallContext(_:)`. The attempts of a retry
        /// of your own multiply with the attempts of other retries.
        public static let retry = Kind(rawValue: "retry")
        /// A policy that rejects calls while the dependency fails.
        public static let circuitBreaker = Kind(rawValue: "circuit breaker")
        /// A policy that limits the number of calls in a period.
        public static let rateLimit = Kind(rawValue: "rate limit")
        /// A policy that limits the number of calls at the same time.
        public static let bulkhead = Kind(rawValue: "bulkhead")
        /// A policy that injects faults.
        public static let chaos = Kind(rawValue: "chaos")
        /// A policy of another kind, such as your own.
        public static let other = Kind(rawValue: "policy")
    }

    /// The kind of policy.
    public let kind: Kind
    /// A phrase for people that describes the policy with its figures.
    public let summary: String
    /// The longest time of the inner layers, or `nil` if the policy does not limit the time.
    public let limit: Duration?
    /// The highest number of runs of the inner layers.
    public let attempts: Int
    /// The longest total wait of the policy itself, or `nil` if the wait is unknown.
    public let waits: Duration?
    /// The longest total wait without waits that a dependency asks for, or `nil` if the wait is unknown.
    package let plannedWaits: Duration?
    /// A Boolean value that indicates whether the policy makes a single attempt inside an extra attempt of another
    /// retry.
    package let collapsesWhenNested: Bool
    /// A Boolean value that indicates whether the policy reads a ``SendTracker``.
    package let tracksSends: Bool
    /// The identity of the policy's shared state, or `nil` if the policy is stateless.
    package let identity: Identity?
    /// The lowest number of consecutive failures that makes the policy reject calls, or `nil` if the policy rejects
    /// none.
    package let failuresToOpen: Int?
    /// The duration above which the policy counts a call as slow, or `nil` if the policy counts no slow calls.
    package let slowThreshold: Duration?
    /// The longest wait for another policy that rejects calls, or zero if the policy does not wait for rejections.
    package let rejectionWaits: Duration
    /// Further facts about the policy as sentences without a full stop.
    package let notes: [String]

    /// A state that calls share.
    package struct Identity: Hashable, Sendable {
        private let object: ObjectIdentifier
        private let part: Int

        /// Creates the identity of an object's state.
        ///
        /// - Parameters:
        ///   - object: The object.
        ///   - part: The hash value of a key for the key's part of the state. Defaults to 0 for the whole state.
        package init(_ object: AnyObject, part: Int = 0) {
            self.object = ObjectIdentifier(object)
            self.part = part
        }
    }

    /// Describes a policy.
    ///
    /// - Parameters:
    ///   - kind: The kind of policy.
    ///   - summary: A phrase for people that describes the policy with its figures.
    ///   - limit: The longest time of the inner layers. Defaults to `nil` for no limit.
    ///   - attempts: The highest number of runs of the inner layers, which is at least 0. Defaults to 1.
    ///   - waits: The longest total wait of the policy itself, or `nil` if the wait is unknown. Defaults to zero.
    public init(
        _ kind: Kind,
        _ summary: String,
        limit: Duration? = nil,
        attempts: Int = 1,
        waits: Duration? = .zero
    ) {
        self.init(
            kind,
            summary,
            limit: limit,
            attempts: attempts,
            waits: waits,
            plannedWaits: waits,
            collapsesWhenNested: false
        )
    }

    /// Describes a policy of this library.
    ///
    /// A pipeline rejects a second layer with the same identity.
    package init(
        _ kind: Kind,
        _ summary: String,
        limit: Duration? = nil,
        attempts: Int = 1,
        waits: Duration? = .zero,
        plannedWaits: Duration? = .zero,
        collapsesWhenNested: Bool = false,
        tracksSends: Bool = false,
        identity: Identity? = nil,
        failuresToOpen: Int? = nil,
        slowThreshold: Duration? = nil,
        rejectionWaits: Duration = .zero,
        notes: [String] = []
    ) {
        self.plannedWaits = plannedWaits
        self.collapsesWhenNested = collapsesWhenNested
        self.tracksSends = tracksSends
        self.identity = identity
        self.failuresToOpen = failuresToOpen
        self.slowThreshold = slowThreshold
        self.rejectionWaits = rejectionWaits
        self.notes = notes
        self.kind = kind
        self.summary = summary
        self.limit = limit
        self.attempts = attempts
        self.waits = waits
    }
}

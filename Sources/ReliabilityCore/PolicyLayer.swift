/// What one policy of a pipeline does to a call, in figures and in a sentence.
///
/// A pipeline adds the layers up: to print its worst case, and to refuse an order that cannot work.
public struct PolicyLayer: Hashable, Sendable {
    /// The kind of policy.
    ///
    /// The set is open: compare with the static members, and expect others.
    public struct Kind: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        /// The kind's name.
        public let rawValue: String

        /// Creates a kind from its name.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The kind's name.
        public var description: String { rawValue }

        /// Bounds the time of what is inside.
        public static let timeout = Kind(rawValue: "timeout")
        /// Repeats what is inside.
        ///
        /// The library's own add up: in the first minute of the second and each later attempt of one, those inside it make
        /// one attempt each, unless they are inside ``withoutCallContext(_:)``. They and one of yours know nothing of each
        /// other, and are taken to multiply.
        public static let retry = Kind(rawValue: "retry")
        /// Keeps calls away from what fails.
        public static let circuitBreaker = Kind(rawValue: "circuit breaker")
        /// Admits so many calls in a time.
        public static let rateLimit = Kind(rawValue: "rate limit")
        /// Makes calls fail on purpose.
        public static let chaos = Kind(rawValue: "chaos")
        /// A policy of the user's.
        public static let other = Kind(rawValue: "policy")
    }

    /// The kind of policy.
    public let kind: Kind
    /// What it does, with its figures: one phrase for a person.
    public let summary: String
    /// The longest time that what is inside may take; nil when the policy does not bound it.
    public let limit: Duration?
    /// The most times that what is inside is run.
    public let attempts: Int
    /// The longest time that the policy waits by itself, all its waits together; nil when nobody knows.
    public let waits: Duration?
    /// The same, without the waits that a dependency asks for; nil when nobody knows.
    package let plannedWaits: Duration?
    /// Whether it is a retry that makes one attempt within the extra attempts of another.
    package let addsUp: Bool
    /// Whether the policy asks a ``SendTracker`` whether the operation has begun.
    package let tracksSends: Bool
    /// What tells the policy's state from that of others; nil for a policy without state.
    package let identity: Identity?
    /// How many failures with no success between them are enough for the policy to reject calls, or `nil` if it does not.
    package let failuresToOpen: Int?
    /// The longest time that the policy waits for another that rejects calls, or zero if it does not wait for it.
    package let rejectionWaits: Duration
    /// What else is worth knowing of the policy, as sentences without a full stop.
    package let notes: [String]

    /// A state that calls share.
    package struct Identity: Hashable, Sendable {
        private let object: ObjectIdentifier
        private let part: Int

        /// The state of an object, or the part of it that belongs to a key with this hash value.
        package init(_ object: AnyObject, part: Int = 0) {
            self.object = ObjectIdentifier(object)
            self.part = part
        }
    }

    /// Describes a policy.
    ///
    /// - Parameters:
    ///   - kind: The kind of policy.
    ///   - summary: What it does, with its figures.
    ///   - limit: The longest time that what is inside may take.
    ///   - attempts: The most times that what is inside is run; at least 0.
    ///   - waits: The longest time that the policy waits by itself; nil when nobody knows.
    public init(
        _ kind: Kind,
        _ summary: String,
        limit: Duration? = nil,
        attempts: Int = 1,
        waits: Duration? = .zero
    ) {
        self.init(kind, summary, limit: limit, attempts: attempts, waits: waits, plannedWaits: waits, addsUp: false)
    }

    /// Describes a policy of this library; one with an identity may stand in a pipeline only once.
    package init(
        _ kind: Kind,
        _ summary: String,
        limit: Duration? = nil,
        attempts: Int = 1,
        waits: Duration? = .zero,
        plannedWaits: Duration? = .zero,
        addsUp: Bool = false,
        tracksSends: Bool = false,
        identity: Identity? = nil,
        failuresToOpen: Int? = nil,
        rejectionWaits: Duration = .zero,
        notes: [String] = []
    ) {
        self.plannedWaits = plannedWaits
        self.addsUp = addsUp
        self.tracksSends = tracksSends
        self.identity = identity
        self.failuresToOpen = failuresToOpen
        self.rejectionWaits = rejectionWaits
        self.notes = notes
        self.kind = kind
        self.summary = summary
        self.limit = limit
        self.attempts = attempts
        self.waits = waits
    }
}

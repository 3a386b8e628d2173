public import ReliabilityCore

/// What a store can and cannot do.
///
/// A feature that needs more is refused when it is configured.
public struct StoreCapabilities: Hashable, Sendable {
    /// What an acknowledged write survives.
    public enum Durability: Int, Comparable, Hashable, Sendable {
        /// Nothing: it is gone with the process.
        case none
        /// The end of the process, but not of the machine.
        case processCrash
        /// The loss of power.
        case powerLoss

        /// Whether the first survives less than the second.
        public static func < (left: Durability, right: Durability) -> Bool { left.rawValue < right.rawValue }
    }

    /// What an acknowledged write survives.
    public var durability: Durability

    /// For a store with one owner at a time: every version below this one was issued before the owner opened it.
    ///
    /// A claim with such a version belongs to a process that is gone, or to an earlier instance of the store in this
    /// process. Unless its holder still runs in this process, the claim can be taken over immediately. Nil for a store
    /// that several processes use.
    public var openedAt: StoreVersion?

    /// Whether a call can stall on something outside the process, such as a network or a disk.
    ///
    /// Time limits apply to a store that can.
    public var canStall: Bool

    /// Whether versions can go back when the store fails over; leases then fence nothing.
    public var losesWritesOnFailover: Bool

    /// The longest key, in bytes; at least 512.
    public var maximumKeyBytes: Int
    /// The longest value, and the longest payload of a record, in bytes; at least 4,096.
    public var maximumValueBytes: Int
    /// The most writes (and records) in one commit, updates or settlements in one call; at least 16.
    public var maximumWrites: Int

    /// Creates capabilities.
    public init(
        durability: Durability,
        openedAt: StoreVersion?,
        canStall: Bool,
        losesWritesOnFailover: Bool = false,
        maximumKeyBytes: Int = 1024,
        maximumValueBytes: Int = 1 << 20,
        maximumWrites: Int = 128
    ) {
        self.durability = durability
        self.openedAt = openedAt
        self.canStall = canStall
        self.losesWritesOnFailover = losesWritesOnFailover
        self.maximumKeyBytes = maximumKeyBytes
        self.maximumValueBytes = maximumValueBytes
        self.maximumWrites = maximumWrites
    }
}

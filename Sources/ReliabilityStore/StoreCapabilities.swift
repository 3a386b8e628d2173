internal import ReliabilityCore

/// The limits and guarantees of a store.
///
/// A feature that requires more ends the process when the feature is created.
public struct StoreCapabilities: Hashable, Sendable {
    /// The durability of acknowledged writes.
    public enum Durability: Int, Comparable, Hashable, Sendable {
        /// A write is lost with the process.
        case none
        /// A write survives the end of the process but not the end of the machine.
        case processCrash
        /// A write survives the loss of power.
        case powerLoss

        /// Returns a Boolean value that indicates whether the first durability is weaker than the second durability.
        public static func < (left: Durability, right: Durability) -> Bool { left.rawValue < right.rawValue }
    }

    /// The durability of acknowledged writes.
    public var durability: Durability

    /// The lower bound of the versions issued since the present owner opened the store, or `nil` without a single
    /// owner.
    ///
    /// A store with one owner at a time has a value. A store that several processes use has none. Every version below
    /// the value was issued before the present owner opened the store. A claim with such a version belongs to a process
    /// that has ended or to an earlier instance of the store in this process. The claim can be taken over immediately
    /// unless its holder still runs in this process.
    public var openedAt: StoreVersion?

    /// A Boolean value that indicates whether a call can stall outside the process, such as on a network or a disk.
    ///
    /// Timeouts apply only to a store that can stall.
    public var canStall: Bool

    /// A Boolean value that indicates whether acknowledged writes can be lost when a replica replaces the server.
    ///
    /// Versions increase after such a loss as well. A claim that was lost is therefore stale. Defaults to `false`.
    public var losesWritesOnFailover: Bool

    /// The length of the longest key in bytes, at least 512.
    public var maxKeyBytes: Int
    /// The length of the longest value and of the longest payload of a record in bytes, at least 4,096.
    public var maxValueBytes: Int
    /// The largest number of changes in one call, at least 16.
    ///
    /// The limit applies to the writes and records of a commit together. The limit also applies to the updates, the
    /// records or the settlements of a call.
    public var maxWrites: Int

    /// Ends the process if the store's durability is below the durability that a part requires.
    ///
    /// - Parameters:
    ///   - durability: The lowest sufficient durability.
    ///   - part: The part, for the message.
    package func require(_ durability: Durability, for part: @autoclosure () -> String) {
        requireValid(
            self.durability >= durability,
            "\(part()) needs a store with the durability \(durability) or higher (is \(self.durability))"
        )
    }

    /// Creates capabilities.
    ///
    /// The limits default to 1,024 bytes for a key, 1 MiB for a value and 128 changes in one call.
    public init(
        durability: Durability,
        openedAt: StoreVersion?,
        canStall: Bool,
        losesWritesOnFailover: Bool = false,
        maxKeyBytes: Int = 1024,
        maxValueBytes: Int = 1 << 20,
        maxWrites: Int = 128
    ) {
        self.durability = durability
        self.openedAt = openedAt
        self.canStall = canStall
        self.losesWritesOnFailover = losesWritesOnFailover
        self.maxKeyBytes = maxKeyBytes
        self.maxValueBytes = maxValueBytes
        self.maxWrites = maxWrites
    }
}

internal import ReliabilityCore

/// The identity of a claim: 128 bits that no other claim has.
///
/// After a write with an unknown outcome, a caller recognizes its own claim by the identity.
struct ClaimID: Hashable, Sendable {
    static let byteCount = 16

    let high: UInt64
    private let low: UInt64

    /// Creates the identity of a new claim.
    ///
    /// The seed of a simulation determines the identity.
    static func unique() -> ClaimID {
        if AmbientGenerator.simulated == nil { return ClaimIDSource.shared.next() }
        return random()
    }

    /// Creates a random identity.
    static func random() -> ClaimID {
        var generator = AmbientGenerator()
        return ClaimID(high: generator.next(), low: generator.next())
    }

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The identity that follows this identity in the same process.
    var next: ClaimID { ClaimID(high: high, low: low &+ 1) }

    /// Creates an identity from its 16 bytes.
    init(bytes: some Collection<UInt8>) {
        self.init(high: UInt64(bigEndianBytes: bytes), low: UInt64(bigEndianBytes: bytes.dropFirst(8)))
    }

    /// Appends the 16 bytes of the identity.
    func append(to bytes: inout [UInt8]) {
        bytes.append(bigEndian: high)
        bytes.append(bigEndian: low)
    }

    /// Returns a number from 0 to `count - 1` that is stable for the identity.
    func shard(of count: Int) -> Int { Int(truncatingIfNeeded: low % UInt64(count)) }
}

/// Issues the identities of a process.
///
/// The first identity is random. A counter in the last 64 bits makes the others, without a random number for each.
final class ClaimIDSource: Sendable {
    /// The source of this process.
    static let shared = ClaimIDSource(process: processIdentifier, first: ClaimID.random)

    private let state = Lock<(process: Int32, last: ClaimID)?>(nil)
    private let process: @Sendable () -> Int32
    private let first: @Sendable () -> ClaimID

    /// Creates a source.
    ///
    /// - Parameters:
    ///   - process: Returns the number of the current process.
    ///   - first: Draws the first identity of a process.
    init(process: @escaping @Sendable () -> Int32, first: @escaping @Sendable () -> ClaimID) {
        self.process = process
        self.first = first
    }

    /// Returns an identity that no earlier call has returned.
    func next() -> ClaimID {
        // A forked process has the state of its parent, and draws again.
        let process = process()
        return state.withLock { state in
            let id = if let last = state?.last, state?.process == process { last.next } else { first() }
            state = (process, id)
            return id
        }
    }
}

extension [UInt8] {
    /// Appends the eight bytes of a number in big-endian order.
    mutating func append(bigEndian number: UInt64) {
        for shift in stride(from: UInt64(56), through: 0, by: -8) { append(UInt8(truncatingIfNeeded: number >> shift)) }
    }
}

extension UInt64 {
    init(bigEndianBytes bytes: some Sequence<UInt8>) { self = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }
}

internal import ReliabilityCore

/// The identity of a claim: 128 random bits.
///
/// After a write with an unknown outcome, a caller recognizes its own claim by the identity.
struct ClaimID: Hashable, Sendable {
    static let byteCount = 16

    private let high: UInt64
    private let low: UInt64

    /// Creates a random identity.
    static func random() -> ClaimID {
        var generator = AmbientGenerator()
        return ClaimID(high: generator.next(), low: generator.next())
    }

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Creates an identity from its 16 bytes.
    init(bytes: some Collection<UInt8>) {
        self.init(high: UInt64(bigEndianBytes: bytes), low: UInt64(bigEndianBytes: bytes.dropFirst(8)))
    }

    /// The identity as 16 bytes.
    var bytes: [UInt8] { high.bigEndianBytes + low.bigEndianBytes }

    /// Returns a number from 0 to `count - 1` that is stable for the identity.
    func shard(of count: Int) -> Int { Int(truncatingIfNeeded: low % UInt64(count)) }
}

extension UInt64 {
    var bigEndianBytes: [UInt8] {
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: self >> UInt64($0)) }
    }

    init(bigEndianBytes bytes: some Sequence<UInt8>) { self = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }
}

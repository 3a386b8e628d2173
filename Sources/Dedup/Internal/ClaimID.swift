internal import ReliabilityCore

/// The identity of one claim: 128 random bits.
///
/// A caller that does not know whether its write happened finds out by them.
struct ClaimID: Hashable, Sendable {
    static let byteCount = 16

    private let high: UInt64
    private let low: UInt64

    /// Draws an identity.
    static func random() -> ClaimID {
        var generator = AmbientGenerator()
        return ClaimID(high: generator.next(), low: generator.next())
    }

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads an identity from its bytes.
    init(bytes: some Collection<UInt8>) {
        self.init(high: UInt64(bigEndianBytes: bytes), low: UInt64(bigEndianBytes: bytes.dropFirst(8)))
    }

    /// The identity as 16 bytes.
    var bytes: [UInt8] { high.bigEndianBytes + low.bigEndianBytes }

    /// A number below `count`, the same for the same claim.
    func shard(of count: Int) -> Int { Int(truncatingIfNeeded: low % UInt64(count)) }
}

extension UInt64 {
    var bigEndianBytes: [UInt8] {
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: self >> UInt64($0)) }
    }

    init(bigEndianBytes bytes: some Sequence<UInt8>) { self = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }
}

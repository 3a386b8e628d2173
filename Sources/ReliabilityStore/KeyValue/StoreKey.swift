internal import ReliabilityCore

/// The key of an entry: a keyspace and components.
///
/// Keys are compared by their bytes and never by Unicode equivalence. The boundaries of the components are a part of
/// the key: `("a", "bc")` and `("ab", "c")` never collide. A key may have any length. A store rejects a key longer than
/// ``StoreCapabilities/maxKeyBytes``. A key of up to 23 encoded bytes needs no allocation.
public struct StoreKey: Hashable, Comparable, Sendable {
    // The bytes inline, big-endian and zero-padded, or in `long`. A key of at most 23 bytes is always inline, so the
    // synthesized equality and hash are correct.
    private var first: UInt64 = 0
    private var second: UInt64 = 0
    private var third: UInt64 = 0
    private var long: [UInt8]?

    private static let inlineCapacity = 23

    /// Creates a key from text components.
    public init(_ keyspace: Keyspace, _ components: String...) {
        self.init(keyspace, bytes: components.map { Array($0.utf8) })
    }

    /// Creates a key from a composite key.
    public init(_ keyspace: Keyspace, _ key: CompositeKey) { self.init(keyspace, bytes: key.components) }

    /// Creates a key from components of bytes.
    public init(_ keyspace: Keyspace, bytes components: [[UInt8]]) {
        var encoded: [UInt8] = []
        let name = keyspace.description.utf8
        encoded.reserveCapacity(components.reduce(1 + name.count) { $0 + 2 + $1.count })
        encoded.append(UInt8(name.count))
        encoded.append(contentsOf: name)
        for component in components { encoded.append(counted: component) }
        self.init(encoded: encoded)
    }

    /// Creates a key from the bytes of ``encoded``, for a store that reads a key back.
    public init(encoded: [UInt8]) {
        guard encoded.count <= Self.inlineCapacity else {
            long = encoded
            return
        }
        for (index, byte) in encoded.enumerated() {
            switch index / 8 {
            case 0: first |= UInt64(byte) << UInt64(56 - 8 * index)
            case 1: second |= UInt64(byte) << UInt64(56 - 8 * (index - 8))
            default: third |= UInt64(byte) << UInt64(56 - 8 * (index - 16))
            }
        }
        // The last byte holds the length, so two keys that differ only in trailing zeros stay distinct.
        third |= UInt64(encoded.count)
    }

    /// The bytes of the key, for a store to keep: the keyspace and the components with a length before each part.
    ///
    /// Two keys are equal if these bytes are equal. The order of two keys is the lexicographic order of these bytes as
    /// unsigned numbers. A key begins with all components of a second key if the bytes begin with the bytes of the
    /// second key.
    public var encoded: [UInt8] {
        if let long { return long }
        let count = Int(third & 0xFF)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        for index in 0..<count {
            let word = index < 8 ? first : index < 16 ? second : third
            bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * (index % 8))))
        }
        return bytes
    }

    /// Creates a key from the bytes of ``encoded``.
    init(_ bytes: KeyBytes) {
        guard bytes.count <= Self.inlineCapacity else {
            long = bytes.array
            return
        }
        first = bytes.word(at: 0)
        second = bytes.word(at: 8)
        third = bytes.word(at: 16) | UInt64(bytes.count)
    }

    /// Calls `body` with a view of the bytes of ``encoded``.
    @inline(__always)
    func withKeyBytes<Result>(_ body: (KeyBytes) -> Result) -> Result {
        if let long { return long.withKeyBytes(body) }
        let words = (first.bigEndian, second.bigEndian, third.bigEndian)
        return unsafe withUnsafePointer(to: words) { words in
            unsafe body(KeyBytes(UnsafeRawPointer(words), count: byteCount))
        }
    }

    /// Appends the count of the encoded bytes and the encoded bytes.
    package func appendCounted(to bytes: inout [UInt8]) {
        withKeyBytes { key in
            unsafe bytes.append(counted: UnsafeRawBufferPointer(start: key.base, count: key.count))
        }
    }

    /// Appends the encoded bytes.
    package func append(to bytes: inout [UInt8]) {
        withKeyBytes { key in
            unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(start: key.base, count: key.count))
        }
    }

    /// Returns a hash that spreads keys over shards.
    @inline(__always)
    func hash(seed: UInt64) -> UInt64 {
        if long != nil {
            var hasher = Hasher()
            hasher.combine(self)
            return UInt64(bitPattern: Int64(hasher.finalize()))
        }
        return Self.mix(Self.mix(Self.mix(seed, first), second), third)
    }

    private static func mix(_ hash: UInt64, _ word: UInt64) -> UInt64 {
        let product = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
        return product ^ product >> 32
    }

    /// The number of encoded bytes, which a store counts against its limits.
    public var byteCount: Int { long?.count ?? Int(third & 0xFF) }

    /// Returns a Boolean value that indicates whether the key begins with all components of `prefix`.
    public func hasPrefix(_ prefix: StoreKey) -> Bool {
        withKeyBytes { key in prefix.withKeyBytes { key.hasPrefix($0) } }
    }

    /// Returns a Boolean value that indicates whether the first key precedes the second key in the order of their
    /// bytes.
    public static func < (left: StoreKey, right: StoreKey) -> Bool {
        if left.long == nil, right.long == nil {
            if left.first != right.first { return left.first < right.first }
            if left.second != right.second { return left.second < right.second }
            return left.third < right.third
        }
        return left.encoded.lexicographicallyPrecedes(right.encoded)
    }
}

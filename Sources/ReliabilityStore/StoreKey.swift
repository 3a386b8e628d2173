internal import ReliabilityCore

/// The name of a group of keys, so that two uses of one store never meet.
public struct Keyspace: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The name.
    public let description: String

    /// Creates a keyspace.
    ///
    /// - Precondition: The name has 1 to 64 bytes.
    public init(_ name: String) {
        requireValid((1...64).contains(name.utf8.count), "a keyspace has 1 to 64 bytes (is \"\(name)\")")
        description = name
    }

    /// Creates a keyspace from a literal.
    public init(stringLiteral value: String) { self.init(value) }
}

/// A key: a keyspace and components.
///
/// Each component is stored with its length before it, so `("a", "bc")` and `("ab", "c")` never collide, whatever
/// bytes a user sends. Keys compare by their bytes, never by Unicode equivalence. Keys of up to 23 bytes in all are
/// held without an allocation. A key may have any length; a store refuses one that exceeds its limit.
public struct StoreKey: Hashable, Comparable, Sendable {
    // Inline bytes, big-endian, zero-padded; or `long`. A key of at most 23 bytes is always inline, so the
    // synthesised equality and hash are right.
    private var first: UInt64 = 0
    private var second: UInt64 = 0
    private var third: UInt64 = 0
    private var long: [UInt8]?

    private static let inlineCapacity = 23

    /// Creates a key from text components.
    public init(_ keyspace: Keyspace, _ components: String...) {
        self.init(keyspace, bytes: components.map { Array($0.utf8) })
    }

    /// Creates a key from components of bytes.
    public init(_ keyspace: Keyspace, bytes components: [[UInt8]]) {
        var encoded: [UInt8] = []
        let name = keyspace.description.utf8
        encoded.reserveCapacity(components.reduce(1 + name.count) { $0 + 2 + $1.count })
        encoded.append(UInt8(name.count))
        encoded.append(contentsOf: name)
        for component in components {
            var rest = component.count
            while rest >= 0x80 {
                encoded.append(UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            encoded.append(UInt8(rest))
            encoded.append(contentsOf: component)
        }
        self.init(encoded: encoded)
    }

    /// Creates a key from what ``encoded`` returned: what a store reads back.
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
        // The last byte holds the length, so keys that differ in trailing zeros only stay distinct.
        third |= UInt64(encoded.count)
    }

    /// The key's bytes, for a store to keep: the keyspace and the components, each with its length before it.
    ///
    /// Two keys are equal when these bytes are, are in the order of these bytes (unsigned, a beginning before what is
    /// longer), and one begins with the components of another when its bytes begin with the other's.
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

    /// The number of bytes a store counts against its limit.
    public var byteCount: Int { long?.count ?? Int(third & 0xFF) }

    /// Whether this key begins with all of `prefix`'s components.
    public func hasPrefix(_ prefix: StoreKey) -> Bool {
        prefix.byteCount <= byteCount && encoded.starts(with: prefix.encoded)
    }

    /// Whether the first key's bytes come before the second's.
    public static func < (left: StoreKey, right: StoreKey) -> Bool {
        if left.long == nil, right.long == nil {
            if left.first != right.first { return left.first < right.first }
            if left.second != right.second { return left.second < right.second }
            return left.third < right.third
        }
        return left.encoded.lexicographicallyPrecedes(right.encoded)
    }
}

internal import ReliabilityStore

/// The numbers of the advisory locks of keys.
///
/// All clients of a store compute the same numbers. Two keys with the same number only wait for each other.
enum KeyLocks {
    /// The FNV-1a hash of a key's bytes.
    static func number(_ key: [UInt8]) -> Int32 {
        var hash: UInt32 = 0x811C_9DC5
        for byte in key { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
        return Int32(bitPattern: hash)
    }

    /// The different numbers of several keys in ascending order, in which every call acquires the locks.
    static func numbers(_ keys: [[UInt8]]) -> [Int32] { Set(keys.map(number)).sorted() }
}

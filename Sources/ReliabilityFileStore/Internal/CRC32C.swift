/// A running CRC-32C (Castagnoli, RFC 3720 appendix B.4).
///
/// The checksum detects every error of one to three bits in a frame and every burst of up to 32 bits.
struct CRC32C {
    private var remainder: UInt32 = ~0

    /// The checksum of all added bytes.
    var value: UInt32 { ~remainder }

    /// Adds the eight bytes of a number in little-endian order.
    mutating func add(_ number: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            add(UInt8(truncatingIfNeeded: number >> shift), table)
        }
    }

    /// Adds a range of `bytes`.
    mutating func add(_ bytes: [UInt8], _ range: Range<Int>) {
        remainder = unsafe bytes.withUnsafeBytes { bytes in
            unsafe table.withUnsafeBufferPointer { table in
                unsafe Self.remainder(remainder, UnsafeRawBufferPointer(rebasing: bytes[range]), table)
            }
        }
    }

    private static func remainder(
        _ start: UInt32,
        _ bytes: UnsafeRawBufferPointer,
        _ table: UnsafeBufferPointer<UInt32>
    ) -> UInt32 {
        var remainder = start
        var position = 0
        // Slicing-by-8: eight bytes at a time, each with its own table.
        while bytes.count - position >= 8 {
            let word = unsafe UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            let mixed = word ^ UInt64(remainder)
            remainder = 0
            for index in 0..<8 {
                remainder ^= unsafe table[
                    0x100 * (7 - index) + Int(truncatingIfNeeded: mixed >> UInt64(8 * index) & 0xFF)
                ]
            }
            position += 8
        }
        while position < bytes.count {
            remainder = unsafe remainder >> 8 ^ table[Int(UInt8(truncatingIfNeeded: remainder) ^ bytes[position])]
            position += 1
        }
        return remainder
    }

    private mutating func add(_ byte: UInt8, _ table: [UInt32]) {
        remainder = remainder >> 8 ^ table[Int(UInt8(truncatingIfNeeded: remainder) ^ byte)]
    }
}

/// Eight consecutive tables of 256 remainders.
///
/// Table `k` is for a byte that `k` bytes follow.
private let table: [UInt32] = {
    var table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { remainder, _ in remainder >> 1 ^ (remainder & 1 == 0 ? 0 : 0x82F6_3B78) }
    }
    for index in 256..<2048 {
        let shorter = table[index - 256]
        table.append(shorter >> 8 ^ table[Int(shorter & 0xFF)])
    }
    return table
}()

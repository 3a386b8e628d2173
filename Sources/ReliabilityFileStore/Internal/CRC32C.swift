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
        let table = table
        var position = range.lowerBound
        // Slicing-by-8: eight bytes at a time, each with its own table.
        while range.upperBound - position >= 8 {
            let low =
                remainder
                ^ (UInt32(bytes[position]) | UInt32(bytes[position + 1]) << 8
                    | UInt32(bytes[position + 2]) << 16 | UInt32(bytes[position + 3]) << 24)
            let first = table[0x700 + Int(low & 0xFF)] ^ table[0x600 + Int(low >> 8 & 0xFF)]
            let second = table[0x500 + Int(low >> 16 & 0xFF)] ^ table[0x400 + Int(low >> 24)]
            let third = table[0x300 + Int(bytes[position + 4])] ^ table[0x200 + Int(bytes[position + 5])]
            let fourth = table[0x100 + Int(bytes[position + 6])] ^ table[Int(bytes[position + 7])]
            remainder = first ^ second ^ third ^ fourth
            position += 8
        }
        while position < range.upperBound {
            add(bytes[position], table)
            position += 1
        }
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

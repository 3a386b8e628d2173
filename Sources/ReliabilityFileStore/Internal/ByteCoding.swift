// Numbers are little-endian. A byte count is a LEB128 number of at most nine bytes.

extension [UInt8] {
    mutating func append(number: UInt64) {
        unsafe Swift.withUnsafeBytes(of: number.littleEndian) { unsafe append(contentsOf: $0) }
    }

    mutating func append(number: Int64) { append(number: UInt64(bitPattern: number)) }

    package mutating func set<Number: FixedWidthInteger>(_ number: Number, at position: Int) {
        let range = position..<position + Number.bitWidth / 8
        unsafe withUnsafeMutableBytes { bytes in
            unsafe bytes[range].storeBytes(of: number.littleEndian, as: Number.self)
        }
    }

    package func number<Number: FixedWidthInteger>(at position: Int, as type: Number.Type = Number.self) -> Number {
        let range = position..<position + Number.bitWidth / 8
        return unsafe withUnsafeBytes { bytes in
            Number(littleEndian: unsafe bytes[range].loadUnaligned(as: Number.self))
        }
    }

    func isZero(_ range: Range<Int>) -> Bool {
        // A loop instead of `allSatisfy`, for the speed of debug builds, which read every sector with this function.
        for position in range where self[position] != 0 { return false }
        return true
    }
}

/// An error for bytes that are not a valid encoding.
package struct MalformedBytes: Error {}

/// A reader of the encoding above that never reads past its end.
package struct ByteReader {
    private let bytes: [UInt8]
    private var position: Int
    private let end: Int

    package init(_ bytes: [UInt8], _ range: Range<Int>) {
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    package var isAtEnd: Bool { position == end }

    mutating func byte() throws(MalformedBytes) -> UInt8 {
        guard position < end else { throw MalformedBytes() }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func number<Number: FixedWidthInteger>(
        as type: Number.Type = Number.self
    ) throws(MalformedBytes) -> Number {
        guard end - position >= Number.bitWidth / 8 else { throw MalformedBytes() }
        defer { position += Number.bitWidth / 8 }
        return bytes.number(at: position)
    }

    package mutating func counted() throws(MalformedBytes) -> [UInt8] {
        var count: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try byte()
            guard shift < 63 else { throw MalformedBytes() }
            count |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { break }
            shift += 7
        }
        guard count <= UInt64(end - position) else { throw MalformedBytes() }
        defer { position += Int(count) }
        return Array(bytes[position..<position + Int(count)])
    }

    mutating func text() throws(MalformedBytes) -> String {
        guard let text = String(validating: try counted(), as: UTF8.self) else { throw MalformedBytes() }
        return text
    }
}

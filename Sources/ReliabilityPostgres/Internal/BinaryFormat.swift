internal import ReliabilityStore

// The binary format of PostgreSQL: integers are big-endian, and `bytea` is the bytes themselves.

extension [UInt8] {
    /// The big-endian bytes of an integer.
    init(bigEndian number: some FixedWidthInteger) {
        self = []
        reserveCapacity(number.bitWidth / 8)
        append(bigEndian: number)
    }

    /// Appends the big-endian bytes of an integer.
    mutating func append(bigEndian number: some FixedWidthInteger) {
        for shift in stride(from: number.bitWidth - 8, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: number >> shift))
        }
    }

    /// The big-endian integer in the bytes, or `nil` if the number of bytes is another.
    func integer<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) -> Number? {
        guard count == Number.bitWidth / 8 else { return nil }
        return reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
    }
}

extension PostgresValue {
    enum OID {
        static let bytes: UInt32 = 17
        static let int8: UInt32 = 20
        static let int2: UInt32 = 21
        static let int4: UInt32 = 23
        static let text: UInt32 = 25
        static let int2Array: UInt32 = 1005
        static let int4Array: UInt32 = 1007
        static let bytesArray: UInt32 = 1001
        static let int8Array: UInt32 = 1016
    }

    static func bytes(_ bytes: [UInt8]?) -> PostgresValue { PostgresValue(type: OID.bytes, bytes: bytes) }

    static func text(_ text: String) -> PostgresValue { PostgresValue(type: OID.text, bytes: Array(text.utf8)) }

    static func int2(_ number: Int16) -> PostgresValue {
        PostgresValue(type: OID.int2, bytes: Array(bigEndian: number))
    }

    static func int4(_ number: Int32) -> PostgresValue {
        PostgresValue(type: OID.int4, bytes: Array(bigEndian: number))
    }

    static func int8(_ number: Int64) -> PostgresValue {
        PostgresValue(type: OID.int8, bytes: Array(bigEndian: number))
    }

    static func bytesArray(_ elements: [[UInt8]]) -> PostgresValue { array(OID.bytesArray, of: OID.bytes, elements) }

    static func int2Array(_ numbers: [Int16]) -> PostgresValue {
        array(OID.int2Array, of: OID.int2, numbers.map { Array(bigEndian: $0) })
    }

    static func int4Array(_ numbers: [Int32]) -> PostgresValue {
        array(OID.int4Array, of: OID.int4, numbers.map { Array(bigEndian: $0) })
    }

    static func int8Array(_ numbers: [Int64]) -> PostgresValue {
        array(OID.int8Array, of: OID.int8, numbers.map { Array(bigEndian: $0) })
    }

    /// An array: the number of dimensions, the presence of nulls, the type of the elements, the length, the first index
    /// and the elements with their lengths.
    private static func array(_ type: UInt32, of element: UInt32, _ elements: [[UInt8]]) -> PostgresValue {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(elements.reduce(20) { $0 + 4 + $1.count })
        bytes.append(bigEndian: Int32(elements.isEmpty ? 0 : 1))
        bytes.append(bigEndian: Int32(0))
        bytes.append(bigEndian: element)
        if !elements.isEmpty {
            bytes.append(bigEndian: Int32(elements.count))
            bytes.append(bigEndian: Int32(1))
        }
        for element in elements {
            bytes.append(bigEndian: Int32(element.count))
            bytes += element
        }
        return PostgresValue(type: type, bytes: bytes)
    }
}

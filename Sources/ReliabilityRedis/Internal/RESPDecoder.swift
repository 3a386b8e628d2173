/// Decodes replies in the protocol RESP2 from bytes that arrive in parts.
///
/// The work for a reply grows with the length of the reply, in any number of parts.
struct RESPDecoder {
    struct Malformed: Error {}

    /// An array whose elements have not all arrived.
    private struct OpenArray {
        var missing: Int
        var elements: [RedisReply]
    }

    private var bytes: [UInt8] = []
    /// The position of the first byte that was not decoded.
    private var start = 0
    /// The position up to which no end of a line was found.
    private var searched = 0
    /// The length of a string whose bytes have not all arrived.
    private var missingString: Int?
    private var arrays: [OpenArray] = []

    /// The deepest nesting of arrays.
    private static let maxDepth = 8
    /// The longest string, and the largest number of elements.
    private static let maxLength = 512 << 20
    private static let maxLineLength = 64 << 10

    mutating func append(_ more: some Collection<UInt8>) {
        if start == bytes.count {
            bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20)
            (start, searched) = (0, 0)
        } else if start >= 1 << 16, start >= bytes.count / 2 {
            bytes.removeFirst(start)
            searched -= start
            start = 0
        }
        bytes.append(contentsOf: more)
    }

    /// Returns the next complete reply, or `nil` if the reply is not complete.
    mutating func next() throws(Malformed) -> RedisReply? {
        while true {
            guard var reply = try element() else { return nil }
            while var array = arrays.popLast() {
                array.elements.append(reply)
                array.missing -= 1
                if array.missing > 0 {
                    arrays.append(array)
                    break
                }
                reply = .array(array.elements)
                if arrays.isEmpty { return reply }
            }
            if arrays.isEmpty { return reply }
        }
    }

    /// Returns the next reply that is no array with elements, or `nil` if the reply is not complete.
    private mutating func element() throws(Malformed) -> RedisReply? {
        while true {
            if let length = missingString { return try string(length) }
            guard let line = try line() else { return nil }
            guard let kind = bytes[line].first else { throw Malformed() }
            let rest = line.dropFirst()
            switch kind {
            case UInt8(ascii: "+"): return .bytes(Array(bytes[rest]))
            case UInt8(ascii: "-"): return .error(String(decoding: bytes[rest], as: UTF8.self))
            case UInt8(ascii: ":"): return .integer(try number(rest))
            case UInt8(ascii: "_"): return .null
            case UInt8(ascii: "$"):
                guard let length = try length(rest) else { return .null }
                missingString = length
            case UInt8(ascii: "*"):
                guard let count = try length(rest) else { return .null }
                if count == 0 { return .array([]) }
                guard arrays.count < Self.maxDepth else { throw Malformed() }
                arrays.append(OpenArray(missing: count, elements: []))
                arrays[arrays.count - 1].elements.reserveCapacity(min(count, 1024))
            default: throw Malformed()
            }
        }
    }

    private mutating func string(_ length: Int) throws(Malformed) -> RedisReply? {
        let end = start + length
        guard bytes.count >= end + 2 else { return nil }
        guard bytes[end] == 13, bytes[end + 1] == 10 else { throw Malformed() }
        defer {
            start = end + 2
            searched = start
            missingString = nil
        }
        return .bytes(Array(bytes[start..<end]))
    }

    /// Returns the range of the next line without its end, or `nil` if the line is not complete.
    private mutating func line() throws(Malformed) -> Range<Int>? {
        while searched + 1 < bytes.count {
            if bytes[searched] == 13 {
                guard bytes[searched + 1] == 10 else { throw Malformed() }
                defer {
                    start = searched + 2
                    searched = start
                }
                return start..<searched
            }
            searched += 1
        }
        if searched - start > Self.maxLineLength { throw Malformed() }
        return nil
    }

    private func number(_ range: Range<Int>) throws(Malformed) -> Int64 {
        guard let number = Int64(decimal: bytes[range]) else { throw Malformed() }
        return number
    }

    /// Returns a length, or `nil` for the length of a missing value.
    private func length(_ range: Range<Int>) throws(Malformed) -> Int? {
        let length = try number(range)
        if length == -1 { return nil }
        guard (0...Int64(Self.maxLength)).contains(length) else { throw Malformed() }
        return Int(length)
    }
}

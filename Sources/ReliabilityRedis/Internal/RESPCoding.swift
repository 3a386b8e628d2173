/// Encodes commands in the protocol RESP2.
enum RESPEncoder {
    static func append(_ command: [[UInt8]], to bytes: inout [UInt8]) {
        bytes.reserveCapacity(bytes.count + 16 + command.reduce(0) { $0 + $1.count + 16 })
        append("*", command.count, to: &bytes)
        for part in command {
            append("$", part.count, to: &bytes)
            bytes.append(contentsOf: part)
            bytes.append(contentsOf: [13, 10])
        }
    }

    private static func append(_ kind: Unicode.Scalar, _ number: Int, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: kind))
        bytes.append(contentsOf: String(number).utf8)
        bytes.append(contentsOf: [13, 10])
    }
}

/// Decodes replies in the protocol RESP2 from bytes that arrive in parts.
struct RESPDecoder {
    struct Malformed: Error {}

    private var bytes: [UInt8] = []
    private var start = 0
    /// The number of bytes without which the next reply is certainly incomplete.
    private var needed = 0

    /// The deepest nesting of arrays.
    private static let maxDepth = 8
    /// The longest text of a reply, and the largest number of elements.
    private static let maxLength = 512 << 20

    mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

    /// Returns the next complete reply, or `nil` if the reply is not complete.
    mutating func next() throws(Malformed) -> RedisReply? {
        if bytes.count - start < needed { return nil }
        var position = start
        needed = 0
        guard let reply = try reply(&position, depth: 0) else { return nil }
        start = position
        if start == bytes.count {
            bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20)
            start = 0
        } else if start > 1 << 16 {
            bytes.removeFirst(start)
            start = 0
        }
        return reply
    }

    private mutating func reply(_ position: inout Int, depth: Int) throws(Malformed) -> RedisReply? {
        guard let line = try line(&position) else { return nil }
        guard let kind = bytes[line].first else { throw Malformed() }
        let rest = line.dropFirst()
        switch kind {
        case UInt8(ascii: "+"): return .bytes(Array(bytes[rest]))
        case UInt8(ascii: "-"): return .error(String(decoding: bytes[rest], as: UTF8.self))
        case UInt8(ascii: ":"): return .integer(try number(rest))
        case UInt8(ascii: "_"): return .null
        case UInt8(ascii: "$"):
            let count = try number(rest)
            if count == -1 { return .null }
            guard (0...Int64(Self.maxLength)).contains(count) else { throw Malformed() }
            let end = position + Int(count)
            guard bytes.count >= end + 2 else {
                needed = end + 2 - start
                return nil
            }
            guard bytes[end] == 13, bytes[end + 1] == 10 else { throw Malformed() }
            defer { position = end + 2 }
            return .bytes(Array(bytes[position..<end]))
        case UInt8(ascii: "*"):
            let count = try number(rest)
            if count == -1 { return .null }
            guard (0...Int64(Self.maxLength)).contains(count), depth < Self.maxDepth else { throw Malformed() }
            var elements: [RedisReply] = []
            elements.reserveCapacity(min(Int(count), 1024))
            for _ in 0..<count {
                guard let element = try reply(&position, depth: depth + 1) else { return nil }
                elements.append(element)
            }
            return .array(elements)
        default: throw Malformed()
        }
    }

    /// Returns the range of the next line without its end, or `nil` if the line is not complete.
    private mutating func line(_ position: inout Int) throws(Malformed) -> Range<Int>? {
        let first = position
        var index = first
        while index + 1 < bytes.count {
            if bytes[index] == 13 {
                guard bytes[index + 1] == 10 else { throw Malformed() }
                position = index + 2
                return first..<index
            }
            index += 1
        }
        return nil
    }

    private func number(_ range: Range<Int>) throws(Malformed) -> Int64 {
        guard let number = Int64(String(decoding: bytes[range], as: UTF8.self)) else { throw Malformed() }
        return number
    }
}

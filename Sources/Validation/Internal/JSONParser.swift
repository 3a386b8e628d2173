internal import ReliabilityCore

/// Parses JSON, strictly by RFC 8259 and within limits, without recursion.
struct JSONParser {
    struct Failure: Error {
        let detail: ErrorDetail
    }

    private struct Container {
        let node: Int
        let isObject: Bool
        /// Where this object's keys begin in `keys`.
        let firstKey: Int
        var count = 0
        /// Whether the parser is in the last child, and not before or after it.
        var isInChild = false
    }

    private enum Expected { case value, firstItem, firstKey, key, separator }

    private var tape: JSONTape
    private var index = 0
    private var values = 0
    private var containers: [Container] = []
    /// The keys so far of all objects that are open, the innermost's last.
    private var keys: [Int] = []
    private let limits: Validator.Limits

    private init(_ bytes: [UInt8], limits: Validator.Limits) {
        tape = JSONTape(source: bytes)
        self.limits = limits
    }

    static func parse(_ bytes: [UInt8], limits: Validator.Limits) throws(Failure) -> JSONTape {
        var parser = JSONParser(bytes, limits: limits)
        try parser.parseDocument()
        return parser.tape
    }

    private func byte(at index: Int) -> UInt8? { index < tape.source.count ? tape.source[index] : nil }

    private mutating func skipWhitespace() {
        while let byte = byte(at: index), byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { index += 1 }
    }

    /// A failure at the value that is being parsed, or at a member of it.
    private func failure(_ problem: Problem, member: Int? = nil) -> Failure {
        var pointer = JSONPointer()
        for container in containers where container.isInChild {
            if container.isObject {
                pointer.append(tape.text(keys[container.firstKey + container.count - 1]))
            } else {
                pointer.append(container.count - 1)
            }
        }
        if let member { pointer.append(tape.text(member)) }
        return Failure(
            detail: ErrorDetail(pointer: pointer.text, code: problem.code, message: problem.message)
        )
    }

    private var malformed: Failure { failure(.malformed(at: index)) }
}

// Structure.
extension JSONParser {
    private mutating func parseDocument() throws(Failure) {
        if tape.source.starts(with: [0xEF, 0xBB, 0xBF]) { throw failure(.byteOrderMark) }
        var expected = Expected.value
        repeat {
            skipWhitespace()
            guard let byte = byte(at: index) else { throw malformed }
            switch (expected, byte) {
            case (.value, _): expected = try parseValue(byte)
            case (.firstItem, UInt8(ascii: "]")), (.firstKey, UInt8(ascii: "}")): expected = try closeContainer()
            case (.firstItem, _): expected = try parseValue(byte)
            case (.firstKey, UInt8(ascii: "\"")), (.key, UInt8(ascii: "\"")): expected = try parseKey()
            case (.separator, _): expected = try parseSeparator(byte)
            default: throw malformed
            }
        } while !containers.isEmpty
        skipWhitespace()
        if index < tape.source.count { throw malformed }
    }

    private mutating func parseSeparator(_ byte: UInt8) throws(Failure) -> Expected {
        let last = containers.count - 1
        let isObject = containers[last].isObject
        containers[last].isInChild = false
        switch byte {
        case UInt8(ascii: ","):
            index += 1
            return isObject ? .key : .value
        case UInt8(ascii: "}") where isObject, UInt8(ascii: "]") where !isObject:
            return try closeContainer()
        default:
            throw malformed
        }
    }

    private mutating func parseKey() throws(Failure) -> Expected {
        let last = containers.count - 1
        guard containers[last].count < limits.objectMembers else {
            throw failure(.tooManyMembers(limit: limits.objectMembers))
        }
        try parseString()
        keys.append(tape.nodes.count - 1)
        containers[last].count += 1
        containers[last].isInChild = true
        skipWhitespace()
        guard byte(at: index) == UInt8(ascii: ":") else { throw malformed }
        index += 1
        return .value
    }

    private mutating func parseValue(_ byte: UInt8) throws(Failure) -> Expected {
        let last = containers.count - 1
        if last >= 0, !containers[last].isObject {
            guard containers[last].count < limits.arrayItems else {
                throw failure(.tooManyItems(limit: limits.arrayItems))
            }
            containers[last].count += 1
            containers[last].isInChild = true
        }
        guard values < limits.values else { throw failure(.tooManyValues(limit: limits.values)) }
        values += 1
        switch byte {
        case UInt8(ascii: "{"): return try openContainer(.object, then: .firstKey)
        case UInt8(ascii: "["): return try openContainer(.array, then: .firstItem)
        case UInt8(ascii: "\""): try parseString()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try parseNumber()
        case UInt8(ascii: "n"): try parseLiteral("null", .null)
        case UInt8(ascii: "t"): try parseLiteral("true", .yes)
        case UInt8(ascii: "f"): try parseLiteral("false", .no)
        default: throw malformed
        }
        return .separator
    }

    private mutating func openContainer(
        _ kind: JSONTape.Kind,
        then expected: Expected
    ) throws(Failure) -> Expected {
        guard containers.count < limits.depth else { throw failure(.tooDeep(limit: limits.depth)) }
        containers.append(Container(node: tape.nodes.count, isObject: kind == .object, firstKey: keys.count))
        append(JSONTape.Node(kind: kind))
        index += 1
        return expected
    }

    private mutating func closeContainer() throws(Failure) -> Expected {
        let container = containers[containers.count - 1]
        if container.isObject {
            let own = keys[container.firstKey...]
            if own.count > JSONTape.linearLimit {
                try closeLargeObject(container.node, sorted(own))
            } else if let duplicate = firstDuplicate(among: own) {
                throw failure(.duplicateKey, member: duplicate)
            }
            keys.removeSubrange(container.firstKey...)
        }
        containers.removeLast()
        tape.nodes[container.node].count = UInt32(container.count)
        tape.nodes[container.node].end = UInt32(tape.nodes.count)
        index += 1
        return .separator
    }

    private mutating func closeLargeObject(_ object: Int, _ sorted: [Int]) throws(Failure) {
        let duplicates = zip(sorted, sorted.dropFirst()).filter { tape.text($0) == tape.text($1) }
        if let duplicate = duplicates.map({ $1 }).min() { throw failure(.duplicateKey, member: duplicate) }
        tape.nodes[object].start = UInt32(tape.sortedKeys.count)
        tape.sortedKeys.append(contentsOf: sorted.lazy.map { UInt32($0) })
    }

    /// The first of a few keys whose bytes an earlier one has too.
    private func firstDuplicate(among keys: ArraySlice<Int>) -> Int? {
        for (position, key) in keys.enumerated() {
            for earlier in keys.prefix(position) where tape.text(earlier) == tape.text(key) { return key }
        }
        return nil
    }

    /// Keys in the order in which they are searched, equal ones as they come in the document.
    ///
    /// They are sorted rather than hashed: no input makes it slow.
    private func sorted(_ keys: ArraySlice<Int>) -> [Int] {
        keys.sorted { first, second in
            let (a, b) = (tape.text(first), tape.text(second))
            return a == b ? first < second : tape.precedes(first, b)
        }
    }

    private mutating func append(_ node: JSONTape.Node) {
        tape.nodes.append(node)
        tape.nodes[tape.nodes.count - 1].end = UInt32(tape.nodes.count)
    }
}

// Literals and numbers.
extension JSONParser {
    private mutating func parseLiteral(_ literal: StaticString, _ kind: JSONTape.Kind) throws(Failure) {
        for expected in literal.description.utf8 {
            guard byte(at: index) == expected else { throw malformed }
            index += 1
        }
        append(JSONTape.Node(kind: kind))
    }

    private mutating func parseNumber() throws(Failure) {
        let start = index
        if byte(at: index) == UInt8(ascii: "-") { index += 1 }
        if byte(at: index) == UInt8(ascii: "0") { index += 1 } else { try parseDigits() }
        if byte(at: index) == UInt8(ascii: ".") {
            index += 1
            try parseDigits()
        }
        if byte(at: index) == UInt8(ascii: "e") || byte(at: index) == UInt8(ascii: "E") {
            index += 1
            if byte(at: index) == UInt8(ascii: "+") || byte(at: index) == UInt8(ascii: "-") { index += 1 }
            try parseDigits()
        }
        guard index - start <= limits.numberBytes else {
            throw failure(.numberTooLong(limit: limits.numberBytes))
        }
        append(JSONTape.Node(kind: .number, start: UInt32(start), count: UInt32(index - start)))
    }

    private mutating func parseDigits() throws(Failure) {
        let start = index
        while let byte = byte(at: index), Format.isDigit(byte) { index += 1 }
        if index == start { throw malformed }
    }
}

// Strings.
extension JSONParser {
    /// Parses a string or key; its text stays where it is unless it has escapes.
    private mutating func parseString() throws(Failure) {
        index += 1
        var segment = index
        let escapedStart = tape.unescaped.count
        var isEscaped = false
        scan: while true {
            guard let byte = byte(at: index) else { throw malformed }
            switch byte {
            case UInt8(ascii: "\""):
                break scan
            case UInt8(ascii: "\\"):
                isEscaped = true
                tape.unescaped.append(contentsOf: tape.source[segment..<index])
                try parseEscape()
                segment = index
            case 0x20..<0x80:
                index += 1
            case 0x00:
                throw failure(.nullCharacter)
            case 0x01..<0x20:
                throw malformed
            default:
                guard let length = lengthOfScalar() else { throw failure(.invalidUTF8(at: index)) }
                index += length
            }
        }
        var node = JSONTape.Node(kind: .string, isEscaped: isEscaped, start: UInt32(segment))
        if isEscaped {
            tape.unescaped.append(contentsOf: tape.source[segment..<index])
            node.start = UInt32(escapedStart)
            node.count = UInt32(tape.unescaped.count - escapedStart)
        } else {
            node.count = UInt32(index - segment)
        }
        guard node.count <= limits.stringBytes else { throw failure(.tooLong(limit: limits.stringBytes)) }
        append(node)
        index += 1
    }

    /// Parses from the backslash on.
    private mutating func parseEscape() throws(Failure) {
        index += 1
        guard let byte = byte(at: index) else { throw malformed }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): tape.unescaped.append(byte)
        case UInt8(ascii: "b"): tape.unescaped.append(0x08)
        case UInt8(ascii: "f"): tape.unescaped.append(0x0C)
        case UInt8(ascii: "n"): tape.unescaped.append(0x0A)
        case UInt8(ascii: "r"): tape.unescaped.append(0x0D)
        case UInt8(ascii: "t"): tape.unescaped.append(0x09)
        case UInt8(ascii: "u"):
            index += 1
            return try parseUnicodeEscape()
        default: throw malformed
        }
        index += 1
    }

    /// Parses from the first hexadecimal digit on; the second half of a surrogate pair too.
    private mutating func parseUnicodeEscape() throws(Failure) {
        var value = try parseHexadecimal()
        if value & 0xFC00 == 0xD800 {
            guard byte(at: index) == UInt8(ascii: "\\"), byte(at: index + 1) == UInt8(ascii: "u") else {
                throw failure(.loneSurrogate)
            }
            index += 2
            let low = try parseHexadecimal()
            guard low & 0xFC00 == 0xDC00 else { throw failure(.loneSurrogate) }
            value = 0x10000 + (value & 0x3FF) << 10 + low & 0x3FF
        }
        if value == 0 { throw failure(.nullCharacter) }
        // Half a pair is the only thing of this range that is no scalar.
        guard let scalar = Unicode.Scalar(value), let encoded = UTF8.encode(scalar) else {
            throw failure(.loneSurrogate)
        }
        tape.unescaped.append(contentsOf: encoded)
    }

    private mutating func parseHexadecimal() throws(Failure) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = byte(at: index), let digit = Format.hexadecimal(byte) else { throw malformed }
            value = value << 4 | UInt32(digit)
            index += 1
        }
        return value
    }

    /// The length of the scalar beyond ASCII that begins here, by table 3-7 of the Unicode standard.
    private func lengthOfScalar() -> Int? {
        let source = tape.source
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch source[index] {
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: length = 4
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: return nil
        }
        guard index + length <= source.count, second.contains(source[index + 1]) else { return nil }
        for offset in 2..<max(length, 2) where source[index + offset] & 0xC0 != 0x80 { return nil }
        return length
    }
}

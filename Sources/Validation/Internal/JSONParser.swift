internal import ReliabilityCore

/// A strict parser for RFC 8259 with limits and without recursion.
struct JSONParser {
    struct Failure: Error {
        let detail: ErrorDetail
    }

    private struct Container {
        let node: Int
        let isObject: Bool
        /// The start of this object's keys in `keys`.
        let firstKey: Int
        var count = 0
        /// A Boolean value that indicates whether the parser is inside the last child.
        var isInChild = false
    }

    private enum Expected { case value, firstItem, firstKey, key, separator }

    private var tape: JSONTape
    private var index = 0
    private var values = 0
    private var containers: [Container] = []
    /// The parsed keys of all open objects from the outermost to the innermost.
    private var keys: [Int] = []
    private let configuration: Validator.Configuration

    private init(_ bytes: [UInt8], configuration: Validator.Configuration) {
        tape = JSONTape(source: bytes)
        self.configuration = configuration
    }

    static func parse(_ bytes: [UInt8], configuration: Validator.Configuration) throws(Failure) -> JSONTape {
        var parser = JSONParser(bytes, configuration: configuration)
        try parser.parseDocument()
        return parser.tape
    }

    private func byte(at index: Int) -> UInt8? { index < tape.source.count ? tape.source[index] : nil }

    private mutating func skipWhitespace() {
        while let byte = byte(at: index), byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { index += 1 }
    }

    /// Returns a failure at the current value or at a member of the current value.
    private func failure(_ issue: Issue, member: Int? = nil) -> Failure {
        var pointer = JSONPointer()
        for container in containers where container.isInChild {
            if container.isObject {
                pointer.append(tape.text(keys[container.firstKey + container.count - 1]))
            } else {
                pointer.append(container.count - 1)
            }
        }
        if let member { pointer.append(tape.text(member)) }
        return Failure(detail: ErrorDetail(pointer: pointer.text, code: issue.code, message: issue.message))
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
        guard containers[last].count < configuration.maxObjectMembers else {
            throw failure(.tooManyMembers(limit: configuration.maxObjectMembers))
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
            guard containers[last].count < configuration.maxArrayItems else {
                throw failure(.tooManyItems(limit: configuration.maxArrayItems))
            }
            containers[last].count += 1
            containers[last].isInChild = true
        }
        guard values < configuration.maxValues else { throw failure(.tooManyValues(limit: configuration.maxValues)) }
        values += 1
        switch byte {
        case UInt8(ascii: "{"): return try openContainer(.object, then: .firstKey)
        case UInt8(ascii: "["): return try openContainer(.array, then: .firstItem)
        case UInt8(ascii: "\""): try parseString()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try parseNumber()
        case UInt8(ascii: "n"): try parseLiteral("null", .null)
        case UInt8(ascii: "t"): try parseLiteral("true", .true)
        case UInt8(ascii: "f"): try parseLiteral("false", .false)
        default: throw malformed
        }
        return .separator
    }

    private mutating func openContainer(
        _ kind: JSONTape.Kind,
        then expected: Expected
    ) throws(Failure) -> Expected {
        guard containers.count < configuration.maxDepth else { throw failure(.tooDeep(limit: configuration.maxDepth)) }
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

    /// Returns the first key with the same bytes as an earlier key, or `nil` without duplicates.
    private func firstDuplicate(among keys: ArraySlice<Int>) -> Int? {
        for (position, key) in keys.enumerated() {
            for earlier in keys.prefix(position) where tape.text(earlier) == tape.text(key) { return key }
        }
        return nil
    }

    /// Returns keys in search order with equal keys in document order.
    // Hostile input can slow hashing down, but not sorting.
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
        guard index - start <= configuration.maxNumberBytes else {
            throw failure(.numberTooLong(limit: configuration.maxNumberBytes))
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
    /// Parses a string or key and copies the text only if the text has escapes.
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
        guard node.count <= configuration.maxStringBytes else {
            throw failure(.tooLong(limit: configuration.maxStringBytes))
        }
        append(node)
        index += 1
    }

    /// Parses an escape that begins at the backslash.
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

    /// Parses a Unicode escape or a surrogate pair that begins at this hexadecimal digit.
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
        // In this range, only a lone surrogate is not a scalar.
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

    /// Returns the length of the non-ASCII scalar at the index, or `nil` if the bytes are not in table 3-7 of Unicode.
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

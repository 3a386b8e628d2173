internal import ReliabilityCore
internal import ReliabilityStore

/// Reads the elements of a reply in their order.
struct ReplyReader {
    private var elements: ArraySlice<RedisReply>

    init(_ reply: RedisReply) throws(StoreError) {
        guard case .array(let elements) = reply else { throw .malformedReply }
        self.elements = elements[...]
    }

    var isAtEnd: Bool { elements.isEmpty }

    private mutating func next() throws(StoreError) -> RedisReply {
        guard let element = elements.popFirst() else { throw .malformedReply }
        return element
    }

    mutating func integer() throws(StoreError) -> Int64 {
        guard let number = try integerOrNull() else { throw .malformedReply }
        return number
    }

    mutating func integerOrNull() throws(StoreError) -> Int64? {
        switch try next() {
        case .integer(let number): return number
        case .bytes(let bytes):
            guard let number = Int64(decimal: bytes[...]) else { throw .malformedReply }
            return number
        case .null: return nil
        case .array, .error: throw .malformedReply
        }
    }

    mutating func bytes() throws(StoreError) -> [UInt8] {
        guard let bytes = try bytesOrNull() else { throw .malformedReply }
        return bytes
    }

    mutating func bytesOrNull() throws(StoreError) -> [UInt8]? {
        switch try next() {
        case .bytes(let bytes): return bytes
        case .null: return nil
        case .integer, .array, .error: throw .malformedReply
        }
    }

    /// Reads an entry, or `nil` if there is no entry or the entry has expired.
    mutating func entry(at now: Int64) throws(StoreError) -> StoreEntry? {
        guard let bytes = try bytesOrNull() else { return nil }
        return try StoreEntry(stored: bytes, at: now)
    }

    mutating func array() throws(StoreError) -> ReplyReader { try ReplyReader(try next()) }
}

internal import ReliabilityStore

/// Reads the columns of a row in their order.
struct RowReader {
    private var columns: ArraySlice<[UInt8]?>

    init(_ columns: [[UInt8]?]) { self.columns = columns[...] }

    mutating func bytesOrNull() throws(StoreError) -> [UInt8]? {
        guard let column = columns.popFirst() else { throw .malformedReply }
        return column
    }

    mutating func bytes() throws(StoreError) -> [UInt8] {
        guard let bytes = try bytesOrNull() else { throw .malformedReply }
        return bytes
    }

    mutating func integerOrNull<Number: FixedWidthInteger>(
        _ type: Number.Type = Number.self
    ) throws(StoreError) -> Number? {
        guard let bytes = try bytesOrNull() else { return nil }
        guard let number = bytes.integer(type) else { throw .malformedReply }
        return number
    }

    mutating func integer<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) throws(StoreError) -> Number {
        guard let number = try integerOrNull(type) else { throw .malformedReply }
        return number
    }

    mutating func bool() throws(StoreError) -> Bool { try integer(UInt8.self) != 0 }

    mutating func text() throws(StoreError) -> String { String(decoding: try bytes(), as: UTF8.self) }

    mutating func version() throws(StoreError) -> StoreVersion { StoreVersion(stored: try integer()) }

    mutating func versionOrNull() throws(StoreError) -> StoreVersion? {
        try integerOrNull(Int64.self).map { StoreVersion(stored: $0) }
    }

    /// Reads the version, the end and the value of an entry, or `nil` if the version is null.
    mutating func entry(at now: Int64) throws(StoreError) -> StoreEntry? {
        let version = try versionOrNull()
        let end = try integerOrNull(Int64.self)
        let value = try bytesOrNull()
        guard let version else { return nil }
        guard let value else { throw .malformedReply }
        return StoreEntry(value: value, version: version, remaining: end.map { .untilMicrosecond($0, from: now) })
    }
}

extension StoreError {
    static var malformedReply: StoreError { StoreError(.failed, "the server sent a malformed reply") }
}

extension StoreVersion {
    init(stored: Int64) { self.init(rawValue: UInt64(bitPattern: stored)) }

    var stored: Int64 { Int64(bitPattern: rawValue) }
}

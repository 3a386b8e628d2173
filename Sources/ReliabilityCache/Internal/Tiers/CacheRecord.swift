internal import ReliabilityCore
internal import ReliabilityStore

/// The stored form of a value.
struct CacheRecord: Hashable, Sendable {
    /// The version of the lease under which the value was loaded, which is the place of the load's start.
    let start: StoreVersion
    /// The nanoseconds of the entry's life after the end of the value's lifetime.
    let staleTime: Int64
    /// The version of the value at its source, or `nil`.
    let version: UInt64?
    let tags: [String]
    let value: [UInt8]

    // Format 1: the format number, the schema, the start, the stale time, 1 and the version or 0, the number of tags, the
    // tags, the key and the value. A number of 32 or 64 bits is big-endian. A count and its bytes begin with LEB128.
    private static let format: UInt8 = 1

    /// Returns the bytes of the record.
    ///
    /// - Parameters:
    ///   - schema: The schema of the value.
    ///   - key: The bytes of the key.
    /// - Returns: The bytes.
    func bytes(schema: UInt32, key: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = [Self.format]
        bytes.append(bigEndian: UInt64(schema), bytes: 4)
        bytes.append(bigEndian: start.rawValue, bytes: 8)
        bytes.append(bigEndian: UInt64(bitPattern: staleTime), bytes: 8)
        bytes.append(version == nil ? 0 : 1)
        if let version { bytes.append(bigEndian: version, bytes: 8) }
        bytes.append(bigEndian: UInt64(clamping: tags.count), bytes: 4)
        for tag in tags { bytes.append(counted: tag.utf8) }
        bytes.append(counted: key)
        bytes.append(counted: value)
        return bytes
    }

    init(start: StoreVersion, staleTime: Int64, version: UInt64?, tags: [String], value: [UInt8]) {
        self.start = start
        self.staleTime = staleTime
        self.version = version
        self.tags = tags
        self.value = value
    }

    /// Creates a record from its bytes, or returns `nil` if they are not valid or have another format, schema or key.
    ///
    /// - Parameters:
    ///   - bytes: The bytes.
    ///   - schema: The schema that the value must have.
    ///   - key: The bytes of the key that the value must have.
    init?(_ bytes: [UInt8], schema: UInt32, key: [UInt8]) {
        var reader = RecordReader(bytes)
        guard reader.number(bytes: 1) == UInt64(Self.format), reader.number(bytes: 4) == UInt64(schema),
            let start = reader.number(bytes: 8), let staleTime = reader.number(bytes: 8).map(Int64.init(bitPattern:)),
            staleTime >= 0, let hasVersion = reader.number(bytes: 1), hasVersion <= 1
        else { return nil }
        var version: UInt64?
        if hasVersion == 1 {
            guard let number = reader.number(bytes: 8) else { return nil }
            version = number
        }
        guard let tagCount = reader.number(bytes: 4) else { return nil }
        var tags: [String] = []
        for _ in 0..<tagCount {
            guard let tag = reader.counted() else { return nil }
            tags.append(String(decoding: tag, as: UTF8.self))
        }
        guard let found = reader.counted(), found.elementsEqual(key), let value = reader.counted(), reader.isAtEnd
        else { return nil }
        self.init(
            start: StoreVersion(rawValue: start),
            staleTime: staleTime,
            version: version,
            tags: tags,
            value: Array(value)
        )
    }
}

/// The state of a key's loads in the store, in an entry of its own beside the value.
///
/// The version of the entry is the token of a lease and the mark of an invalidation.
enum LeaseRecord: UInt8 {
    /// A process loads the value.
    case loading = 1
    /// The key was invalidated. The next process can load the value immediately.
    case invalidated = 2
    /// A load failed while a stale value was present. The load is not repeated until the end of the entry.
    case failed = 3

    private static let format: UInt8 = 1

    var bytes: [UInt8] { [Self.format, rawValue] }

    /// Creates a state from its bytes.
    ///
    /// Other bytes are a load, for whose end a process waits.
    init(_ bytes: [UInt8]) {
        self = bytes.count == 2 && bytes[0] == Self.format ? LeaseRecord(rawValue: bytes[1]) ?? .loading : .loading
    }
}

/// A reader of bytes that may be damaged.
private struct RecordReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func number(bytes count: Int) -> UInt64? {
        guard rest.count >= count else { return nil }
        let number = rest.prefix(count).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        rest = rest.dropFirst(count)
        return number
    }

    mutating func counted() -> ArraySlice<UInt8>? {
        var (count, shift) = (UInt64(0), UInt64(0))
        while true {
            guard shift < 63, let byte = rest.popFirst() else { return nil }
            count |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { break }
            shift += 7
        }
        guard count <= UInt64(rest.count) else { return nil }
        defer { rest = rest.dropFirst(Int(count)) }
        return rest.prefix(Int(count))
    }
}

extension [UInt8] {
    fileprivate mutating func append(bigEndian number: UInt64, bytes count: Int) {
        for index in (0..<count).reversed() { append(UInt8(truncatingIfNeeded: number >> UInt64(8 * index))) }
    }
}

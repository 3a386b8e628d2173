internal import ReliabilityCore
public import ReliabilityStore

/// A message about committed data.
public struct OutboxMessage: Hashable, Sendable {
    /// The message's identity of 1 to 256 bytes.
    ///
    /// The identity is the same at every delivery. A consumer recognizes a repetition by the identity. A commit throws
    /// ``OutboxConflict`` if the identity belongs to a dead letter or to a pending message with another topic, other
    /// headers or another payload. A store rejects an identity of another length.
    public let id: String
    /// The kind of message, such as `order.placed`.
    public let topic: String
    /// The content.
    public let payload: [UInt8]

    /// The headers, such as a correlation id or a trace context.
    public let headers: [String: String]

    /// Creates a message.
    ///
    /// - Parameters:
    ///   - id: The identity, or `nil` for 128 random bits. Defaults to `nil`. An identity that is made from the data
    ///     (`order.placed:42`) prevents a second message while the first is undelivered. Such an identity has to change
    ///     with the data (`order.updated:42:7`).
    ///   - topic: The kind of message.
    ///   - headers: The headers. Defaults to none.
    ///   - payload: The content.
    public init(id: String? = nil, topic: String, headers: [String: String] = [:], payload: [UInt8]) {
        self.id = id ?? randomHexadecimal(bytes: 16)
        self.topic = topic
        self.headers = headers
        self.payload = payload
    }

    /// Reads a message from a record such as a dead letter, or returns `nil` if the record is not a message.
    ///
    /// - Parameter record: A record of an outbox's queue.
    public init?(_ record: RecordInfo) {
        self.init(id: record.id, encoded: record.payload)
    }

    // Format 1: the number 1, the topic, the payload.
    // Format 2: the number 2, the topic, the number of headers, each header's name and value in the order of the names'
    // bytes, the payload.
    // Each text follows its length in four bytes. The number of headers has four bytes. A message without headers has
    // format 1, so the encoding of messages that an earlier release sent does not change.
    private static let plainFormat: UInt8 = 1
    private static let headerFormat: UInt8 = 2

    /// The bytes of the message without its identity.
    package var encoded: [UInt8] {
        var bytes: [UInt8] = [headers.isEmpty ? Self.plainFormat : Self.headerFormat]
        bytes.append(sized: topic)
        if !headers.isEmpty {
            bytes.append(fourBytesOf: headers.count)
            let sorted = headers.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            for (name, value) in sorted {
                bytes.append(sized: name)
                bytes.append(sized: value)
            }
        }
        bytes += payload
        return bytes
    }

    /// Reads a message from the bytes of ``encoded``, or returns `nil` if the bytes are not a message.
    package init?(id: String, encoded bytes: [UInt8]) {
        guard let format = bytes.first, [Self.plainFormat, Self.headerFormat].contains(format) else { return nil }
        var rest = bytes.dropFirst()
        guard let topic = rest.takeText() else { return nil }
        var headers: [String: String] = [:]
        if format == Self.headerFormat {
            guard let count = rest.takeCount() else { return nil }
            for _ in 0..<count {
                guard let name = rest.takeText(), let value = rest.takeText() else { return nil }
                headers[name] = value
            }
        }
        self.id = id
        self.topic = topic
        self.headers = headers
        payload = Array(rest)
    }
}

extension [UInt8] {
    fileprivate mutating func append(fourBytesOf count: Int) {
        for shift in stride(from: 24, through: 0, by: -8) { append(UInt8(truncatingIfNeeded: count >> shift)) }
    }

    fileprivate mutating func append(sized text: String) {
        append(fourBytesOf: text.utf8.count)
        append(contentsOf: text.utf8)
    }
}

extension ArraySlice<UInt8> {
    fileprivate mutating func takeCount() -> Int? {
        guard count >= 4 else { return nil }
        defer { removeFirst(4) }
        return prefix(4).reduce(0) { $0 << 8 | Int($1) }
    }

    fileprivate mutating func takeText() -> String? {
        guard let length = takeCount(), length <= count else { return nil }
        defer { removeFirst(length) }
        return String(validating: prefix(length), as: UTF8.self)
    }
}

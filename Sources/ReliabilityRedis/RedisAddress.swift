internal import ReliabilityCore
public import ReliabilityStore

/// The address of a Redis or Valkey server, with the credentials of a user.
///
/// The description never contains the credentials.
public struct RedisAddress: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    enum Endpoint: Hashable, Sendable {
        case tcp(host: String, port: UInt16)
        case unix(path: String)
    }

    let endpoint: Endpoint
    /// The name of the user, or `nil` for the default user.
    let user: String?
    let password: String?
    /// The number of the database.
    let database: Int

    /// Creates an address from a URL, such as `redis://user:password@127.0.0.1:6379/0` or `unix:///run/redis.sock?db=0`.
    ///
    /// The port defaults to 6379, and the database to 0. Percent-encoded bytes are decoded in the user, the password and
    /// the path.
    ///
    /// - Parameter url: The URL.
    /// - Throws: ``StoreError`` with the reason ``StoreError/Reason/invalid``, without the URL in its text.
    public init(_ url: String) throws(StoreError) {
        if let rest = url.suffix(after: "redis://") {
            try self.init(tcp: rest)
        } else if let rest = url.suffix(after: "unix://") {
            try self.init(unix: rest)
        } else if url.suffix(after: "rediss://") != nil {
            throw Self.invalid("the scheme is rediss, but this connection has no TLS; use the trait Valkey for TLS")
        } else {
            throw Self.invalid("the scheme must be redis or unix")
        }
    }

    private init(tcp rest: String) throws(StoreError) {
        var rest = rest
        (user, password) = try Self.takeCredentials(&rest)
        var path = ""
        if let slash = rest.utf8.firstIndex(of: UInt8(ascii: "/")) {
            path = String(rest[rest.utf8.index(after: slash)...])
            rest = String(rest[..<slash])
        }
        database = path.isEmpty ? 0 : try Self.number(path, "the database", 0...65_535)
        var port = 6379
        if rest.utf8.first == UInt8(ascii: "[") {
            guard let end = rest.firstIndex(of: "]") else { throw Self.invalid("the closing bracket is missing") }
            let after = rest[rest.index(after: end)...]
            if !after.isEmpty {
                guard after.utf8.first == UInt8(ascii: ":") else {
                    throw Self.invalid("a port must follow the bracket")
                }
                port = try Self.number(String(after.dropFirst()), "the port", 1...65_535)
            }
            rest = String(rest[rest.index(after: rest.startIndex)..<end])
        } else if let colon = rest.firstIndex(of: ":") {
            port = try Self.number(String(rest[rest.index(after: colon)...]), "the port", 1...65_535)
            rest = String(rest[..<colon])
        }
        guard !rest.isEmpty, !rest.utf8.contains(0) else { throw Self.invalid("the host is missing") }
        endpoint = .tcp(host: rest, port: UInt16(port))
    }

    private init(unix rest: String) throws(StoreError) {
        var rest = rest
        (user, password) = try Self.takeCredentials(&rest)
        var query = ""
        if let mark = rest.firstIndex(of: "?") {
            query = String(rest[rest.index(after: mark)...])
            rest = String(rest[..<mark])
        }
        if query.isEmpty {
            database = 0
        } else if let text = query.suffix(after: "db=") {
            database = try Self.number(text, "the database", 0...65_535)
        } else {
            throw Self.invalid("the query of a unix URL must be db and a number")
        }
        let path = try Self.decoded(rest)
        guard path.hasPrefix("/"), !path.utf8.contains(0) else { throw Self.invalid("the path must be absolute") }
        endpoint = .unix(path: path)
    }

    private static func takeCredentials(_ rest: inout String) throws(StoreError) -> (user: String?, password: String?) {
        guard let at = rest.lastIndex(of: "@") else { return (nil, nil) }
        let credentials = String(rest[..<at])
        rest = String(rest[rest.index(after: at)...])
        guard let colon = credentials.firstIndex(of: ":") else { return (nil, try decoded(credentials)) }
        let user = try decoded(String(credentials[..<colon]))
        return (user.isEmpty ? nil : user, try decoded(String(credentials[credentials.index(after: colon)...])))
    }

    private static func decoded(_ text: String) throws(StoreError) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else {
                throw invalid("a percent sign must precede two hexadecimal digits")
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func number(
        _ text: String,
        _ name: String,
        _ range: ClosedRange<Int>
    ) throws(StoreError) -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw invalid("\(name) must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private static func invalid(_ explanation: String) -> StoreError {
        StoreError(.invalid, "the URL of the Redis server is invalid: \(explanation)")
    }

    /// A mirror of the description, so that no dump contains the credentials.
    public var customMirror: Mirror { Mirror(self, children: [(label: "address", value: description)]) }

    /// The host and port or the path, and the database.
    public var description: String {
        switch endpoint {
        case .tcp(let host, let port): "\(host.contains(":") ? "[\(host)]" : host):\(port)/\(database)"
        case .unix(let path): "\(path) database \(database)"
        }
    }
}

extension String {
    /// Returns the text after a prefix, or `nil` if the text has another beginning.
    fileprivate func suffix(after prefix: String) -> String? {
        guard utf8.starts(with: prefix.utf8) else { return nil }
        return String(decoding: utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    }
}

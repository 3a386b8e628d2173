public import ReliabilityCore

/// Signs webhooks with every active key of an endpoint.
///
/// ```swift
/// let signer = try WebhookSigner(keys: [.init(secret)])
/// let fields = try signer.headerFields(id: "msg_1", unixSeconds: unixSeconds, body: body)
/// ```
///
/// While a secret changes, the old and the new key sign each attempt. A receiver with either secret accepts the message:
///
/// ```swift
/// let signer = try WebhookSigner(keys: [.init(secret)])
/// let rotated = try signer.rotating(to: newSecret, endingOthersAt: unixSeconds + 86_400)
/// ```
///
/// The text of a secret appears in no description, error or event.
public struct WebhookSigner: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    /// The largest number of keys.
    private static var maxKeys: Int { 10 }

    /// The scheme of the signatures.
    public let scheme: WebhookScheme
    /// The keys, the newest first.
    public let keys: [Key]

    /// Creates a signer.
    ///
    /// - Parameters:
    ///   - scheme: The scheme `standard` or `stripe`. Defaults to `standard`.
    ///   - keys: From 1 to 10 keys, the newest first. The newest key has no end.
    /// - Throws: `ConfigurationError` with every problem.
    public init(_ scheme: WebhookScheme = .standard, keys: [Key]) throws(ConfigurationError) {
        var problems = ConfigurationProblems("webhook signer")
        problems.require(
            scheme == .standard || scheme == .stripe,
            "the scheme must be standard or stripe (is \(scheme.name))"
        )
        problems.require((1...Self.maxKeys).contains(keys.count), "keys must be from 1 to 10 (are \(keys.count))")
        for (index, key) in keys.enumerated() {
            if let problem = scheme.problem(of: key.secret) { problems.require(false, "\(key): \(problem)") }
            problems.require(!keys[..<index].contains { $0.id == key.id }, "\(key) appears more than once")
        }
        if let newest = keys.first { problems.require(newest.endsAt == nil, "the newest \(newest) must have no end") }
        try problems.throwIfAny()
        self.scheme = scheme
        self.keys = keys
    }

    /// Returns a signer with a new key, and with an end for every other key.
    ///
    /// - Parameters:
    ///   - secret: The secret of the new key.
    ///   - end: The time in Unix seconds from which the other keys sign nothing. An earlier end of a key stays.
    /// - Returns: The signer.
    /// - Throws: `ConfigurationError` if the secret is not valid, or if there are 10 keys already.
    public func rotating(to secret: String, endingOthersAt end: Int64) throws(ConfigurationError) -> WebhookSigner {
        try WebhookSigner(scheme, keys: [Key(secret)] + keys.map { Key($0.secret, endsAt: min($0.endsAt ?? end, end)) })
    }

    /// Returns a signer without a key.
    ///
    /// - Parameter keyID: The ``Key/id`` of the key.
    /// - Returns: The signer.
    /// - Throws: `ConfigurationError` if no key without an end would remain.
    public func removing(_ keyID: String) throws(ConfigurationError) -> WebhookSigner {
        try WebhookSigner(scheme, keys: keys.filter { $0.id != keyID })
    }

    /// Returns the keys that sign at a time, the newest first.
    ///
    /// - Parameter unixSeconds: The time in Unix seconds.
    /// - Returns: At least one key.
    public func activeKeys(at unixSeconds: Int64) -> [Key] {
        keys.filter { key in key.endsAt.map { unixSeconds < $0 } ?? true }
    }

    /// Returns the header fields of a signed message.
    ///
    /// - Parameters:
    ///   - id: The identity of the message: 1 to 100 letters, digits, `_` and `-` of ASCII. The identity must not
    ///     contain a period, because a period separates the signed parts.
    ///   - unixSeconds: The time of the attempt in Unix seconds, from 0 to twelve digits.
    ///   - body: The body.
    /// - Returns: The header fields.
    /// - Throws: ``WebhookDeliveryError`` if the identity or the time has another form.
    public func headerFields(
        id: String,
        unixSeconds: Int64,
        body: [UInt8]
    ) throws(WebhookDeliveryError) -> [(name: String, value: String)] {
        guard Self.isIdentity(id), (0..<1_000_000_000_000).contains(unixSeconds) else {
            throw WebhookDeliveryError(.invalidMessage)
        }
        let time = "\(unixSeconds)"
        let prefix = scheme == .stripe ? "\(time)." : "\(id).\(time)."
        let codes = activeKeys(at: unixSeconds).map { key in
            HMACSHA256(key: scheme.key(of: key.secret) ?? []).code(for: [Array(prefix.utf8), body])
        }
        if scheme == .stripe {
            let entries = ["t=\(time)"] + codes.map { "v1=\(hexadecimalText(of: $0))" }
            return [(scheme.signatureHeader, entries.joined(separator: ","))]
        }
        return [
            ("webhook-id", id), ("webhook-timestamp", time),
            (scheme.signatureHeader, codes.map { "v1,\(base64Text(of: $0))" }.joined(separator: " ")),
        ]
    }

    /// Returns whether a text is the identity of a message.
    static func isIdentity(_ text: String) -> Bool {
        (1...100).contains(text.utf8.count)
            && text.utf8.allSatisfy { $0.isASCIILetterOrDigit || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") }
    }

    /// The scheme and the identities of the keys.
    public var description: String { "\(scheme.name) with \(keys.map(\.description).joined(separator: ", "))" }
    /// A mirror without the secrets.
    public var customMirror: Mirror { Mirror(self, children: ["scheme": scheme.name, "keys": keys.map(\.id)]) }
}

extension UInt8 {
    /// A Boolean value that indicates whether the byte is a letter or a digit of ASCII.
    var isASCIILetterOrDigit: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }
}

/// The signed bytes and the signatures of a message, as its header fields state them.
struct SignedMessage {
    /// The largest number of signatures that are compared.
    private static var maxSignatures: Int { 32 }
    /// The largest number of Ed25519 signatures that are compared, because each of them hashes the body.
    private static var maxAsymmetricSignatures: Int { 4 }
    /// The largest length of the text of a signature.
    private static var maxSignatureBytes: Int { 128 }

    let headers: ReceivedHeaders
    /// The signed bytes, one part after the other.
    let parts: [[UInt8]]
    /// The decoded signatures, which have the length of the scheme's signatures.
    let signatures: [[UInt8]]
    /// The time of the attempt in Unix seconds, or `nil` if the scheme has none.
    let timestamp: Int64?

    init(_ scheme: WebhookScheme, _ headers: ReceivedHeaders, _ body: [UInt8]) throws(WebhookError) {
        self.headers = headers
        let name = scheme.signatureHeader
        switch scheme.form {
        case .stripe:
            let entries = Self.entries(try headers.only(name), separator: UInt8(ascii: ","))
            let times = entries.compactMap { Self.text(of: $0, after: "t=") }
            guard times.count == 1, let time = Self.unixSeconds(times[0]) else {
                throw WebhookError(.malformedHeader(name))
            }
            timestamp = time
            parts = [Array(times[0]), Array(".".utf8), body]
            signatures = Self.decoded(entries, after: "v1=", decodeHexadecimal)
        case .standard, .standardAsymmetric:
            let values = headers.values(name)
            if values.allSatisfy(\.isEmpty) { throw WebhookError(.missingHeader(name)) }
            let entries = values.flatMap { Self.entries($0, separator: UInt8(ascii: " ")) }
            signatures =
                scheme.form == .standard
                ? Self.decoded(entries, after: "v1,", decodeBase64)
                : Self.decoded(entries, after: "v1a,", count: 64, limit: Self.maxAsymmetricSignatures, decodeBase64)
            (parts, timestamp) = try Self.parts(scheme, headers, body, forbidden: UInt8(ascii: "."))
        case .single(let prefix, let encoding):
            let entry = try headers.only(name)[...]
            switch encoding {
            case .hexadecimal: signatures = Self.decoded([entry], after: prefix, decodeHexadecimal)
            case .base64: signatures = Self.decoded([entry], after: prefix, decodeBase64)
            }
            (parts, timestamp) = try Self.parts(scheme, headers, body, forbidden: nil)
        }
    }

    /// Returns the signed bytes and the time.
    ///
    /// A header field must not contain the forbidden byte, which separates the parts.
    private static func parts(
        _ scheme: WebhookScheme,
        _ headers: ReceivedHeaders,
        _ body: [UInt8],
        forbidden: UInt8?
    ) throws(WebhookError) -> ([[UInt8]], Int64?) {
        var (parts, timestamp) = ([[UInt8]](), Int64?.none)
        for part in scheme.parts {
            switch part {
            case .text(let text): parts.append(Array(text.utf8))
            case .body: parts.append(body)
            case .header(let name):
                let value = try headers.only(name)
                if let forbidden, value.contains(forbidden) { throw WebhookError(.malformedHeader(name)) }
                if name == scheme.timestampHeader {
                    guard let time = unixSeconds(value[...]) else { throw WebhookError(.malformedHeader(name)) }
                    timestamp = time
                }
                parts.append(value)
            }
        }
        return (parts, timestamp)
    }

    /// Returns the first entries of a list.
    private static func entries(_ value: [UInt8], separator: UInt8) -> [ArraySlice<UInt8>] {
        // The last part is the unread rest.
        Array(value.split(separator: separator, maxSplits: 8 * maxSignatures).prefix(8 * maxSignatures))
    }

    private static func text(of entry: ArraySlice<UInt8>, after prefix: String) -> ArraySlice<UInt8>? {
        entry.starts(with: prefix.utf8) ? entry.dropFirst(prefix.utf8.count) : nil
    }

    /// Returns the signatures among entries.
    ///
    /// A text of a wrong length or form is no signature.
    private static func decoded(
        _ entries: [ArraySlice<UInt8>],
        after prefix: String,
        count: Int = 32,
        limit: Int = maxSignatures,
        _ decode: (ArraySlice<UInt8>) -> [UInt8]?
    ) -> [[UInt8]] {
        let texts = entries.lazy.compactMap { text(of: $0, after: prefix) }.filter { $0.count <= maxSignatureBytes }
        return texts.prefix(limit).compactMap(decode).filter { $0.count == count }
    }

    /// Returns the value of 1 to 12 decimal digits, or `nil` for any other text.
    private static func unixSeconds(_ text: ArraySlice<UInt8>) -> Int64? {
        let isNumber = (1...12).contains(text.count) && text.allSatisfy { (0x30...0x39).contains($0) }
        return isNumber ? text.reduce(0) { $0 * 10 + Int64($1 - 0x30) } : nil
    }
}

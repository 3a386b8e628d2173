internal import ReliabilityCore
internal import Validation

/// The identity and the type of a verified message.
struct EventContent {
    /// The largest length of an identity or a type in bytes.
    private static var maxBytes: Int { 255 }

    let id: String
    let type: String?
    let isTypeSigned: Bool

    /// Reads the identity and the type from a message whose signature was verified.
    ///
    /// - Throws: ``WebhookError`` if the message has no identity.
    init(_ scheme: WebhookScheme, _ headers: ReceivedHeaders, _ body: [UInt8]) throws(WebhookError) {
        var paths: [[String]] = []
        if case .body(let path) = scheme.identity { paths.append(path) }
        if case .body(let types) = scheme.eventType { paths += types }
        let texts = paths.isEmpty ? [] : Self.texts(at: paths, in: body)
        switch scheme.identity {
        case .digestOfBody(let names):
            id = digestText(of: names.map { name in headers.values(name).flatMap { $0 + [0] } } + [body])
        case .header(let name):
            let value = try headers.only(name)
            guard value.count <= Self.maxBytes else { throw WebhookError(.malformedHeader(name)) }
            id = String(decoding: value, as: UTF8.self)
        case .body:
            guard let text = texts.first ?? nil, !text.isEmpty else { throw WebhookError(.noIdentity) }
            id = text
        }
        switch scheme.eventType {
        case .header(let name):
            let value = headers.values(name).count == 1 ? headers.values(name)[0] : []
            type = value.isEmpty || value.count > Self.maxBytes ? nil : String(decoding: value, as: UTF8.self)
            isTypeSigned = scheme.parts.contains(.header(name))
        case .body(let types):
            type = texts.suffix(types.count).lazy.compactMap(\.self).first
            isTypeSigned = type != nil
        case nil: (type, isTypeSigned) = (nil, false)
        }
    }

    /// Returns the texts at paths of a JSON body, with `nil` for a path without a text.
    private static func texts(at paths: [[String]], in body: [UInt8]) -> [String?] {
        let size = max(1, body.count)
        let validator = Validator(
            .init(
                maxBodyBytes: size,
                maxDepth: 1024,
                maxStringBytes: size,
                maxNumberBytes: size,
                maxArrayItems: size,
                maxObjectMembers: size,
                maxValues: size,
                unknownKeys: .ignore
            )
        )
        var texts = paths.map { _ in String?.none }
        // A wrong member is no text, and does not hide the others.
        try? validator.parse(body) { document in texts = paths.map { text(at: $0[...], in: document) } }
        return texts
    }

    private static func text(at path: ArraySlice<String>, in object: JSONReader) -> String? {
        guard let key = path.first, let member = object.optional(key) else { return nil }
        if path.count > 1 { return text(at: path.dropFirst(), in: member) }
        return try? member.string(bytes: 1...maxBytes).value
    }
}

internal import ReliabilityCore
internal import Validation

/// The identity and the type of a verified message.
struct EventContent {
    /// The largest length of an identity or a type in bytes.
    private static var maxBytes: Int { 255 }

    let id: String
    let type: String?
    let isTypeSigned: Bool
    /// The text that the answer must contain, or `nil` for a message that asks for no such answer.
    let challenge: String?

    /// Reads the identity and the type from a message whose signature was verified.
    ///
    /// - Throws: ``WebhookError`` if the message has no identity.
    init(_ scheme: WebhookScheme, _ headers: ReceivedHeaders, _ body: [UInt8]) throws(WebhookError) {
        let identityPaths = if case .body(let path) = scheme.identity { [path] } else { [[String]]() }
        let typePaths = if case .body(let paths) = scheme.eventType { paths } else { [[String]]() }
        let challengePaths = scheme.challengeType == nil ? [] : [["challenge"]]
        let paths = identityPaths + typePaths + challengePaths
        let texts = paths.isEmpty ? [] : Self.texts(at: paths, in: body)
        if case .header(let name) = scheme.eventType {
            let value = headers.values(name).count == 1 ? headers.values(name)[0] : []
            type = value.isEmpty || value.count > Self.maxBytes ? nil : String(decoding: value, as: UTF8.self)
            isTypeSigned = scheme.parts.contains(.header(name))
        } else {
            type = texts.dropFirst(identityPaths.count).prefix(typePaths.count).lazy.compactMap(\.self).first
            isTypeSigned = type != nil
        }
        challenge = type == scheme.challengeType ? texts.suffix(challengePaths.count).first ?? nil : nil
        switch scheme.identity {
        case .digestOfBody(let names):
            id = digestText(of: names.map { name in headers.values(name).flatMap { $0 + [0] } } + [body])
        case .header(let name):
            let value = try headers.only(name)
            guard value.count <= Self.maxBytes else { throw WebhookError(.malformedHeader(name)) }
            id = String(decoding: value, as: UTF8.self)
        case .body:
            if let text = texts.first ?? nil, !text.isEmpty {
                id = text
            } else if challenge != nil {
                id = digestText(of: [body])
            } else {
                throw WebhookError(.noIdentity)
            }
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

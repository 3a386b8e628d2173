internal import ReliabilityCore

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
        let skimmer = JSONSkimmer(body)
        let texts = paths.map { skimmer.text(at: $0, maxBytes: Self.maxBytes) }
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
}

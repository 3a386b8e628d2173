internal import ReliabilityCore

extension WebhookSigner {
    /// A secret that signs webhooks.
    ///
    /// The text of the secret appears in no description.
    public struct Key: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
        let secret: String

        /// The identity of the key for logs: the first eight hexadecimal digits of a digest of the secret.
        public let id: String
        /// The time in Unix seconds from which the key signs nothing, or `nil` if the key has no end.
        public let endsAt: Int64?

        /// Creates a key.
        ///
        /// - Parameters:
        ///   - secret: The text of the secret. For Standard Webhooks, the text is `whsec_` and the base 64 of 24 to 64
        ///     bytes.
        ///   - endsAt: The time in Unix seconds from which the key signs nothing. Defaults to `nil` for no end.
        public init(_ secret: String, endsAt: Int64? = nil) {
            self.secret = secret
            self.endsAt = endsAt
            id = String(digestText(of: [Array("webhook key".utf8), Array(secret.utf8)]).prefix(8))
        }

        /// The identity without the secret.
        public var description: String { "key \(id)" }
        /// A mirror without the secret.
        public var customMirror: Mirror { Mirror(self, children: ["id": id]) }
    }
}

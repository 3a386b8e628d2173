/// A receiver of webhooks.
///
/// The description contains neither the URL, which may contain a token, nor a secret.
public struct WebhookEndpoint: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    /// The identity in the directory of endpoints.
    ///
    /// The identity of a message and the identity of an endpoint together have at most 255 bytes.
    public let id: String
    /// The URL.
    public let url: String
    /// The signer with the keys of the endpoint.
    public let signer: WebhookSigner

    /// Creates an endpoint.
    ///
    /// - Parameters:
    ///   - id: The identity in the directory of endpoints.
    ///   - url: The URL.
    ///   - signer: The signer with the keys of the endpoint.
    public init(_ id: String, url: String, signer: WebhookSigner) {
        self.id = id
        self.url = url
        self.signer = signer
    }

    /// The identity and the keys.
    public var description: String { "\(id) (\(signer))" }
    /// A mirror without the URL.
    public var customMirror: Mirror { Mirror(self, children: ["id": id, "signer": signer]) }
}

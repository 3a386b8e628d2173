/// An attempt for the transport of a ``WebhookSender``.
///
/// The transport makes a `POST` request and follows these rules:
///
/// - The transport connects to ``address`` and to no other address. The name of ``target`` is the name for `Host`, for
///   the server name indication and for the check of the certificate.
/// - The transport follows no redirect and uses no proxy from the environment.
/// - The transport stops reading after ``maxResponseBytes`` bytes of the body, decodes no compressed body, and limits
///   the size of the header fields.
/// - The transport returns soon after its task is cancelled. The task is cancelled after ``timeLimit``.
public struct WebhookRequest: Sendable {
    /// The URL of the endpoint.
    public let url: String
    /// The host and the port of the URL.
    public let target: WebhookTarget
    /// The address that the address policy accepted.
    public let address: WebhookAddress
    /// The header fields.
    public let headerFields: [(name: String, value: String)]
    /// The body.
    public let body: [UInt8]
    /// The time after which the attempt is abandoned.
    public let timeLimit: Duration
    /// The largest number of bytes of the response's body that are read.
    public let maxResponseBytes: Int
}

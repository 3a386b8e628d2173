/// The response of an endpoint.
public struct WebhookResponse: Sendable {
    /// The HTTP status.
    public let status: Int
    /// The header fields.
    ///
    /// Repeated fields must not be joined.
    public let headerFields: [(name: String, value: String)]
    /// The beginning of the body.
    public let body: [UInt8]

    /// Creates a response.
    ///
    /// - Parameters:
    ///   - status: The HTTP status.
    ///   - headerFields: The header fields. Defaults to none.
    ///   - body: The beginning of the body. Defaults to an empty body.
    public init(status: Int, headerFields: [(name: String, value: String)] = [], body: [UInt8] = []) {
        self.status = status
        self.headerFields = headerFields
        self.body = body
    }
}

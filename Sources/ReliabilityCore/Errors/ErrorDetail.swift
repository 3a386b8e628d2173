/// The problem with a single part of the input.
public struct ErrorDetail: Hashable, Sendable {
    /// The position in the input as a JSON Pointer (RFC 6901), such as `/items/0/quantity`.
    ///
    /// The pointer is empty for the whole input.
    public let pointer: String
    /// A stable machine-readable code, such as `number.too_large`.
    public let code: ErrorCode
    /// A sentence that is safe to show to a client.
    public let message: String

    /// Creates a detail.
    public init(pointer: String, code: ErrorCode, message: String) {
        self.pointer = pointer
        self.code = code
        self.message = message
    }
}

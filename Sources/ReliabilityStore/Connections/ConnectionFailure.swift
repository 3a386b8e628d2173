/// A failure of the way to a server.
///
/// An answer of the server is a reply, also if the answer is an error.
public struct ConnectionFailure: Error, CustomStringConvertible {
    /// A Boolean value that indicates whether the server may have received the command.
    ///
    /// If the value is `false`, the server has certainly not executed the command.
    public let isSent: Bool
    /// A description for logs, without credentials, keys and values.
    public let explanation: String
    /// The error that caused the failure, or `nil` if there is none.
    public let underlyingError: (any Error)?

    /// Creates a failure.
    ///
    /// - Parameters:
    ///   - isSent: `true` if the server may have received the command.
    ///   - explanation: A description without credentials, keys and values.
    ///   - underlyingError: The error that caused the failure. Defaults to `nil`.
    public init(isSent: Bool, _ explanation: String, underlyingError: (any Error)? = nil) {
        self.isSent = isSent
        self.explanation = explanation
        self.underlyingError = underlyingError
    }

    /// The explanation.
    public var description: String { explanation }
}

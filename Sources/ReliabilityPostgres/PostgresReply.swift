/// An answer of the server to a statement.
///
/// An error of the server is a reply with a value of ``sqlState``.
public struct PostgresReply: Hashable, Sendable {
    /// The rows.
    ///
    /// Each column has the bytes of the binary format or `nil` for a null.
    public var rows: [[[UInt8]?]]
    /// The five characters of the error's code, or `nil` if the statement succeeded.
    public var sqlState: String?
    /// The primary message of the error, or an empty text.
    ///
    /// The store never copies the message into its own errors, because the message may contain values.
    public var message: String

    /// Creates an answer.
    ///
    /// - Parameters:
    ///   - rows: The rows. Defaults to no rows.
    ///   - sqlState: The code of the error. Defaults to `nil` for a statement that succeeded.
    ///   - message: The primary message of the error. Defaults to an empty text.
    public init(rows: [[[UInt8]?]] = [], sqlState: String? = nil, message: String = "") {
        self.rows = rows
        self.sqlState = sqlState
        self.message = message
    }
}

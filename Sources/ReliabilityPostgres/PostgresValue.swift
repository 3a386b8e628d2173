/// An argument of a statement in the binary format of PostgreSQL.
public struct PostgresValue: Hashable, Sendable {
    /// The object identifier of the argument's type, such as 17 for `bytea`.
    public var type: UInt32
    /// The bytes in the binary format of the type, or `nil` for a null.
    public var bytes: [UInt8]?

    /// Creates an argument.
    ///
    /// - Parameters:
    ///   - type: The object identifier of the type.
    ///   - bytes: The bytes in the binary format of the type, or `nil` for a null.
    public init(type: UInt32, bytes: [UInt8]?) {
        self.type = type
        self.bytes = bytes
    }
}

/// A result that can be stored and replayed: a value with bytes from which it can be made again.
///
/// Byte arrays and strings conform. A type of your own says which bytes a duplicate's result is made from:
///
/// ```swift
/// extension Receipt: DedupValue {
///     init(dedupBytes: [UInt8]) throws { self = try JSONDecoder().decode(Receipt.self, from: Data(dedupBytes)) }
///     var dedupBytes: [UInt8] { … }
/// }
/// ```
public protocol DedupValue {
    /// Makes the value that ``dedupBytes`` was taken from.
    ///
    /// - Parameter dedupBytes: The bytes, perhaps written by an earlier release.
    /// - Throws: Any error if the bytes do not make a value. The call fails with ``DedupError/Reason/unreadable``, and
    ///   the operation does not run.
    init(dedupBytes: [UInt8]) throws

    /// The value as bytes.
    var dedupBytes: [UInt8] { get }
}

extension Array: DedupValue where Element == UInt8 {
    /// The bytes themselves.
    public init(dedupBytes: [UInt8]) { self = dedupBytes }

    /// The bytes themselves.
    public var dedupBytes: [UInt8] { self }
}

extension String: DedupValue {
    /// The text of UTF-8 bytes.
    public init(dedupBytes: [UInt8]) { self = String(decoding: dedupBytes, as: UTF8.self) }

    /// The text's UTF-8 bytes.
    public var dedupBytes: [UInt8] { Array(utf8) }
}

/// A value that can be stored as bytes and replayed for a duplicate.
///
/// Byte arrays and strings conform. Other types define their bytes:
///
/// ```swift
/// struct Receipt: DedupValue {
///     let id: String
///
///     init(dedupBytes: [UInt8]) { id = String(dedupBytes: dedupBytes) }
///     var dedupBytes: [UInt8] { id.dedupBytes }
/// }
/// ```
public protocol DedupValue {
    /// Creates a value from the bytes of ``dedupBytes``.
    ///
    /// - Parameter dedupBytes: The bytes, possibly written by an earlier release.
    /// - Throws: Any error if the bytes are not valid. The call then fails with ``DedupError/Reason/unreadable``, and
    ///   the operation does not run.
    init(dedupBytes: [UInt8]) throws

    /// The value as bytes.
    var dedupBytes: [UInt8] { get }
}

extension Array: DedupValue where Element == UInt8 {
    /// Creates an array with the bytes.
    public init(dedupBytes: [UInt8]) { self = dedupBytes }

    /// The bytes of the array.
    public var dedupBytes: [UInt8] { self }
}

extension String: DedupValue {
    /// Creates a string from UTF-8 bytes, with U+FFFD in the place of invalid sequences.
    public init(dedupBytes: [UInt8]) { self = String(decoding: dedupBytes, as: UTF8.self) }

    /// The UTF-8 bytes of the string.
    public var dedupBytes: [UInt8] { Array(utf8) }
}

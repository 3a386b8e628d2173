public import ReliabilityStore

/// The form of keys and values in the store of a ``TieredCache``.
///
/// ```swift
/// let coding = CacheCoding<String, Int>(
///     schema: 1,
///     key: { item in [item] },
///     encode: { quote in Array(try JSONEncoder().encode(quote)) },
///     decode: { bytes in try JSONDecoder().decode(Int.self, from: Data(bytes)) }
/// )
/// ```
public struct CacheCoding<Key: Sendable, Value: Sendable>: Sendable {
    /// The number of the form of the values.
    ///
    /// A stored value of another number is loaded anew. Change the number with every change of the bytes.
    public var schema: UInt32
    /// Returns the components of a key, which must be equal for equal keys and distinct for distinct keys.
    ///
    /// The store compares bytes. Equal strings can have different bytes, such as the two forms of "é". Such keys need one
    /// form before they reach the cache, and so do tags.
    public var key: @Sendable (Key) -> CompositeKey
    /// Returns the bytes of a value.
    ///
    /// A value whose encoding throws an error is kept in memory only.
    public var encode: @Sendable (Value) throws -> [UInt8]
    /// Returns the value of bytes, possibly written by another release.
    ///
    /// A value whose decoding throws an error is loaded anew.
    public var decode: @Sendable ([UInt8]) throws -> Value

    /// Creates a form.
    ///
    /// - Parameters:
    ///   - schema: The number of the form of the values.
    ///   - key: Returns the components of a key. The store contains a digest of the key, and the bytes of the key beside
    ///     the value.
    ///   - encode: Returns the bytes of a value.
    ///   - decode: Returns the value of bytes.
    public init(
        schema: UInt32,
        key: @escaping @Sendable (Key) -> CompositeKey,
        encode: @escaping @Sendable (Value) throws -> [UInt8],
        decode: @escaping @Sendable ([UInt8]) throws -> Value
    ) {
        self.schema = schema
        self.key = key
        self.encode = encode
        self.decode = decode
    }
}

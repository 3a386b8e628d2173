internal import ReliabilityCore
public import ReliabilityStore

/// The place of an invalidation in the order of a store's writes.
///
/// A mark makes a later read see the write that gave the mark, in every process on the same store. See
/// ``CacheRead/notOlderThan(_:)``. The text of a mark fits into a cookie or a header:
///
/// ```swift
/// let mark = await shared.invalidate(item)
/// let cookie = "\(mark)"
/// if let mark = CacheMark(cookie) {
///     let quote = try await shared.value(for: item, .notOlderThan(mark))
/// }
/// ```
///
/// The text is not authenticated. A forged mark costs loads and reveals nothing.
public struct CacheMark: Hashable, Sendable, LosslessStringConvertible {
    /// The version of the write, or `nil` if the write is not confirmed.
    public let version: StoreVersion?

    init(_ version: StoreVersion?) { self.version = version }

    /// A Boolean value that indicates whether the store has confirmed the write.
    ///
    /// The cache repeats a write that is not confirmed. Until the confirmation, other processes can read older values. A
    /// read with a mark that is not confirmed loads the value from the source.
    public var isConfirmed: Bool { version != nil }

    /// Creates a mark from its text, or returns `nil` if the text is not the text of a mark.
    ///
    /// - Parameter description: The text, possibly from an untrusted client.
    public init?(_ description: String) {
        // The longest text is the format, a full stop and 20 digits.
        let bytes = Array(description.utf8.prefix(23))
        guard bytes.starts(with: Self.format.utf8), bytes.count <= 22 else { return nil }
        let digits = bytes.dropFirst(Self.format.utf8.count)
        if digits.isEmpty {
            version = nil
            return
        }
        guard digits.first != UInt8(ascii: "0") || digits.count == 1,
            digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let number = UInt64(String(decoding: digits, as: UTF8.self))
        else { return nil }
        version = StoreVersion(rawValue: number)
    }

    /// The text of the mark: digits and a full stop, at most 22 bytes.
    public var description: String { Self.format + (version.map { "\($0)" } ?? "") }

    private static let format = "1."
}

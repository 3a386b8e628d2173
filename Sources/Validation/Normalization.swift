/// How a string is brought to one form before it is checked and returned.
///
/// Only ASCII is touched: `K` (U+212A, the Kelvin sign) never becomes `k`.
public struct Normalization: OptionSet, Hashable, Sendable {
    /// The bits of the options.
    public let rawValue: UInt8

    /// Creates a set of options from its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Spaces, tabs and line breaks at both ends are removed.
    public static let trimmed = Normalization(rawValue: 1)
    /// `A–Z` become `a–z`.
    public static let lowercased = Normalization(rawValue: 2)
    /// `a–z` become `A–Z`.
    public static let uppercased = Normalization(rawValue: 4)

    func apply(to text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var text = text
        if contains(.trimmed) {
            while let byte = text.first, Self.isSpace(byte) { text.removeFirst() }
            while let byte = text.last, Self.isSpace(byte) { text.removeLast() }
        }
        if contains(.lowercased) {
            for index in text.indices where Format.isUpper(text[index]) { text[index] |= 0x20 }
        }
        if contains(.uppercased) {
            for index in text.indices where Format.isUpper(text[index] & ~0x20) { text[index] &= ~0x20 }
        }
        return text
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
}

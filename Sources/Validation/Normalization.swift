internal import ReliabilityCore

/// How a string is brought to one form before it is checked and returned.
///
/// The case of ASCII letters only is changed: `K` (U+212A, the Kelvin sign) never becomes `k`.
public struct Normalization: OptionSet, Hashable, Sendable {
    /// The bits of the options.
    public let rawValue: UInt8

    /// Creates a set of options from its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// White space at both ends is removed: what Unicode calls white space, such as space, tab, line breaks and U+00A0.
    ///
    /// A text that has nothing visible at all becomes empty.
    public static let trimmed = Normalization(rawValue: 1)
    /// `A–Z` become `a–z`.
    public static let lowercased = Normalization(rawValue: 2)
    /// `a–z` become `A–Z`.
    public static let uppercased = Normalization(rawValue: 4)

    func apply(to text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var text = text
        if contains(.trimmed) { text = Self.trimmed(text) }
        if contains(.lowercased) {
            for index in text.indices where Format.isUpper(text[index]) { text[index] |= 0x20 }
        }
        if contains(.uppercased) {
            for index in text.indices where Format.isUpper(text[index] & ~0x20) { text[index] &= ~0x20 }
        }
        return text
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var text = text
        while let byte = text.first, isSpace(byte) { text.removeFirst() }
        while let byte = text.last, isSpace(byte) { text.removeLast() }
        guard let first = text.first, let last = text.last, first | last >= 0x80 else { return text }
        let scalars = String(decoding: text, as: UTF8.self).unicodeScalars
        guard let start = scalars.firstIndex(where: { !$0.properties.isWhitespace }),
            let end = scalars.lastIndex(where: { !$0.properties.isWhitespace }),
            scalars[start...end].contains(where: {
                !$0.isInvisible && !$0.isEmojiSelector && !$0.properties.isWhitespace
            })
        else { return [] }
        return ArraySlice(String(scalars[start...end]).utf8)
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
}

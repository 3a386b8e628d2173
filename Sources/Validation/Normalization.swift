internal import ReliabilityCore

/// The changes made to a string before the string is checked and returned.
///
/// Only the case of ASCII letters is changed. The Kelvin sign (U+212A) never becomes `k`.
public struct Normalization: OptionSet, Hashable, Sendable {
    /// The bits of the options.
    public let rawValue: UInt8

    /// Creates a set of options from its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Removes Unicode white space from both ends.
    ///
    /// White space includes space, tab, line breaks and U+00A0. A text without any visible character becomes empty.
    public static let trimmed = Normalization(rawValue: 1)
    /// Replaces `A–Z` by `a–z`.
    public static let lowercased = Normalization(rawValue: 2)
    /// Replaces `a–z` by `A–Z`.
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

internal import ReliabilityCore

/// The formats, checked in linear passes over the bytes without regular expressions.
enum Format {
    static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    static func isUpper(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") }

    static func isAlphanumeric(_ byte: UInt8) -> Bool { isDigit(byte) || isUpper(byte & ~0x20) }

    static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// Returns the value of an optional minus sign and digits, or `nil` if the value needs more than 128 bits.
    static func integer(_ text: ArraySlice<UInt8>) -> Int128? {
        let isNegative = text.first == UInt8(ascii: "-")
        let digits = isNegative ? text.dropFirst() : text
        if digits.count <= 18 {
            let value = digits.reduce(Int64(0)) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
            return Int128(isNegative ? -value : value)
        }
        var value: Int128 = 0
        for byte in digits {
            let digit = Int128(byte - UInt8(ascii: "0"))
            let (scaled, isScaledTooFar) = value.multipliedReportingOverflow(by: 10)
            let (next, isTooFar) = scaled.addingReportingOverflow(isNegative ? -digit : digit)
            if isScaledTooFar || isTooFar { return nil }
            value = next
        }
        return value
    }

    /// A UUID of any version: groups of 8, 4, 4, 4 and 12 hexadecimal digits.
    static func isUUID(_ text: some Collection<UInt8>) -> Bool {
        guard text.count == 36 else { return false }
        return text.enumerated().allSatisfy { offset, byte in
            switch offset {
            case 8, 13, 18, 23: byte == UInt8(ascii: "-")
            default: hexadecimal(byte) != nil
            }
        }
    }

    /// A phone number: `+` and 7 to 15 digits without a leading zero.
    static func isPhone(_ text: some Collection<UInt8>) -> Bool {
        let digits = text.dropFirst()
        return text.first == UInt8(ascii: "+") && (7...15).contains(digits.count)
            && digits.first != UInt8(ascii: "0") && digits.allSatisfy(isDigit)
    }

    static func isCurrency(_ text: some Collection<UInt8>) -> Bool { text.count == 3 && text.allSatisfy(isUpper) }

    /// An alphanumeric code: letters and digits with single separators between them.
    static func isAlphanumericCode(_ text: some Collection<UInt8>) -> Bool {
        var isAfterSeparator = true
        for byte in text {
            let isSeparator = " -_./".utf8.contains(byte)
            guard isAlphanumeric(byte) || isSeparator && !isAfterSeparator else { return false }
            isAfterSeparator = isSeparator
        }
        return !isAfterSeparator || text.isEmpty
    }

    /// An address of at most 254 bytes: a dot-atom of at most 64 bytes, `@` and a host name of at least two labels.
    static func isEmail(_ text: some Collection<UInt8>) -> Bool {
        guard text.count <= 254 else { return false }
        let parts = text.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
        return parts.count == 2 && isLocalPart(parts[0]) && isHostName(parts[1])
    }

    private static func isLocalPart(_ text: some Collection<UInt8>) -> Bool {
        text.count <= 64
            && text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
                .allSatisfy { !$0.isEmpty && $0.allSatisfy(isAtomText) }
    }

    /// The `atext` of RFC 5322.
    private static func isAtomText(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || "!#$%&'*+-/=?^_`{|}~".utf8.contains(byte)
    }

    /// A host name: labels of letters, digits and inner hyphens without a numeric last label.
    private static func isHostName(_ text: some Collection<UInt8>) -> Bool {
        let labels = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return labels.count >= 2
            && labels.allSatisfy { label in
                (1...63).contains(label.count)
                    && label.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
                    && label.first != UInt8(ascii: "-") && label.reversed().first != UInt8(ascii: "-")
            }
            && labels.last?.allSatisfy(isDigit) == false
    }

    static func isNotPrintableASCII(_ text: ArraySlice<UInt8>) -> Bool {
        !text.allSatisfy { $0 >= 0x20 && $0 < 0x7F }
    }

    /// Returns a Boolean value that indicates whether a character ends a line, is invisible or reorders others.
    ///
    /// A variation selector counts as invisible unless the selector is the only selector after a suitable character.
    ///
    /// - Precondition: `text` is valid UTF-8.
    static func isUnsafeInLine(_ text: ArraySlice<UInt8>) -> Bool {
        if text.contains(where: { $0 < 0x20 || $0 == 0x7F }) { return true }
        if text.allSatisfy({ $0 < 0x80 }) { return false }
        var base: Unicode.Scalar?
        // In ASCII, only a keycap has a selector: "1", U+FE0F, U+20E3.
        var isInKeycap = false
        for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
            if isInKeycap, scalar != "\u{20E3}" { return true }
            isInKeycap = false
            if scalar.isEmojiSelector {
                guard let base, base.properties.isEmoji else { return true }
                isInKeycap = base.isASCII
            } else if ("\u{E0100}"..."\u{E01EF}").contains(scalar) {
                // Civil registers distinguish such forms of ideographs in names.
                guard let base, base.properties.isUnifiedIdeograph else { return true }
            } else if scalar.isInvisible {
                return true
            }
            base = scalar
        }
        return isInKeycap
    }

    /// Returns a Boolean value that indicates whether the text has a control character other than tab and line breaks.
    ///
    /// - Precondition: `text` is valid UTF-8.
    static func isUnsafeInText(_ text: ArraySlice<UInt8>) -> Bool {
        for (index, byte) in zip(text.indices, text) {
            switch byte {
            case 0x09, 0x0A, 0x0D: break
            case 0x00..<0x20, 0x7F: return true
            // U+0080 to U+009F. The text is valid, so a leading byte has a successor.
            case 0xC2: if text[index + 1] < 0xA0 { return true }
            default: break
            }
        }
        return false
    }
}

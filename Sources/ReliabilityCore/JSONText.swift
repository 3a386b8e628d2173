/// Appends `text` as a JSON string, with its quotes.
///
/// Besides what RFC 8259 asks for, everything invisible is escaped, so that the text can neither break a log line nor
/// reorder what a reader sees.
///
/// - Parameters:
///   - text: Any text; it decodes to itself.
///   - output: What to append to.
package func appendJSON(_ text: String, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "\""))
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"", "\\":
            output.append(UInt8(ascii: "\\"))
            output.append(UInt8(truncatingIfNeeded: scalar.value))
        case " "..."~":
            output.append(UInt8(truncatingIfNeeded: scalar.value))
        default:
            if scalar.isInvisible {
                for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter {
                    appendEscape(unit, to: &output)
                }
            } else {
                output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            }
        }
    }
    output.append(UInt8(ascii: "\""))
}

extension Unicode.Scalar {
    /// Whether the scalar ends a line, reorders the text around it, or leaves no trace of itself.
    ///
    /// These are controls, line and paragraph separators, marks of writing direction, joiners, byte order marks, tags,
    /// fillers and variation selectors. White space is not among them, and neither are U+FE0E and U+FE0F, which say how
    /// the emoji before them looks.
    package var isInvisible: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: properties.isDefaultIgnorableCodePoint && !isEmojiSelector
        }
    }

    /// Whether the scalar asks for the text form (U+FE0E) or the colored form (U+FE0F) of the character before it.
    package var isEmojiSelector: Bool { self == "\u{FE0E}" || self == "\u{FE0F}" }
}

private func appendEscape(_ unit: UInt16, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "\\"))
    output.append(UInt8(ascii: "u"))
    for shift in [12, 8, 4, 0] { output.append(hexadecimalDigit(UInt64(unit >> shift))) }
}

/// The lower-case digit of the lowest four bits.
func hexadecimalDigit(_ bits: UInt64) -> UInt8 {
    let digit = UInt8(truncatingIfNeeded: bits) & 15
    return digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
}

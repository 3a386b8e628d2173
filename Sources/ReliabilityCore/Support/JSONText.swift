/// Appends a text as a JSON string with quotes.
///
/// The string escapes every invisible character in addition to the characters of RFC 8259. An escaped text cannot break
/// a log line or reorder the text around it.
///
/// - Parameters:
///   - text: Any text. A JSON decoder returns the same text.
///   - output: The bytes to append to.
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
    /// A Boolean value that indicates whether the scalar ends a line, reorders the surrounding text or is not
    /// displayed.
    ///
    /// Invisible scalars are controls, line and paragraph separators, marks of writing direction, joiners, byte order
    /// marks, tags, fillers and variation selectors. Space separators are not invisible. The selectors of the preceding
    /// emoji's form (U+FE0E and U+FE0F) are not invisible.
    package var isInvisible: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: properties.isDefaultIgnorableCodePoint && !isEmojiSelector
        }
    }

    /// A Boolean value that indicates whether the scalar selects the text form (U+FE0E) or the emoji form (U+FE0F) of
    /// the preceding character.
    package var isEmojiSelector: Bool { self == "\u{FE0E}" || self == "\u{FE0F}" }
}

private func appendEscape(_ unit: UInt16, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "\\"))
    output.append(UInt8(ascii: "u"))
    for shift in [12, 8, 4, 0] { output.append(hexadecimalDigit(UInt64(unit >> shift))) }
}

/// Returns the lower-case hexadecimal digit of the lowest four bits.
func hexadecimalDigit(_ bits: UInt64) -> UInt8 {
    let digit = UInt8(truncatingIfNeeded: bits) & 15
    return digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
}

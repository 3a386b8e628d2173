/// Appends `text` as a JSON string, with its quotes.
///
/// Besides what RFC 8259 asks for, everything invisible is escaped — controls, line separators, bidirectional and other
/// formatting characters — so that the text can neither break a log line nor reorder what a reader sees.
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
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter {
                    appendEscape(unit, to: &output)
                }
            default:
                output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            }
        }
    }
    output.append(UInt8(ascii: "\""))
}

private func appendEscape(_ unit: UInt16, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "\\"))
    output.append(UInt8(ascii: "u"))
    for shift in [12, 8, 4, 0] {
        let digit = UInt8(truncatingIfNeeded: unit >> shift) & 15
        output.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
    }
}

/// Writes numbers in the form of ECMAScript (`Number::toString`), which RFC 8785 adopts.
enum CanonicalNumber {
    /// Appends the form of a number's text.
    ///
    /// A whole number keeps its exact value. A number outside the range of `Double` keeps its text.
    static func append(_ text: ArraySlice<UInt8>, to output: inout [UInt8]) {
        let isWhole = !text.contains { $0 == UInt8(ascii: ".") || $0 | 0x20 == UInt8(ascii: "e") }
        // ECMAScript writes no exponent for up to 21 digits, so the exact form is the text.
        if isWhole, text.count <= 21, !text.elementsEqual("-0".utf8) {
            output.append(contentsOf: text)
        } else if let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite,
            !isWhole || value == 0 || isExact(text, value)
        {
            append(value, to: &output)
        } else {
            output.append(contentsOf: text)
        }
    }

    /// Returns a Boolean value that indicates whether the shortest form of `value` is exactly a whole number's text.
    private static func isExact(_ text: ArraySlice<UInt8>, _ value: Double) -> Bool {
        let digits = text.first == UInt8(ascii: "-") ? text.dropFirst() : text
        let (shortest, exponent) = decimal(value.magnitude)
        return digits.count == exponent && digits.starts(with: shortest)
            && digits.dropFirst(shortest.count).allSatisfy { $0 == UInt8(ascii: "0") }
    }

    /// Appends the form of a finite `Double`.
    static func append(_ value: Double, to output: inout [UInt8]) {
        if value == 0 { return output.append(UInt8(ascii: "0")) }
        if value < 0 { output.append(UInt8(ascii: "-")) }
        let (digits, exponent) = decimal(value.magnitude)
        switch exponent {
        case digits.count...max(digits.count, 21):
            output.append(contentsOf: digits)
            output.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: exponent - digits.count))
        case 1...21:
            output.append(contentsOf: digits[..<exponent])
            output.append(UInt8(ascii: "."))
            output.append(contentsOf: digits[exponent...])
        case -5...0:
            output.append(contentsOf: "0.".utf8)
            output.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: -exponent))
            output.append(contentsOf: digits)
        default:
            output.append(contentsOf: digits[..<1])
            if digits.count > 1 { output.append(UInt8(ascii: ".")) }
            output.append(contentsOf: digits[1...])
            output.append(contentsOf: exponent > 0 ? "e+".utf8 : "e-".utf8)
            output.append(contentsOf: String(abs(exponent - 1)).utf8)
        }
    }

    /// Returns the fewest digits that identify a positive number, whose value is 0.*digits* × 10^*exponent*.
    private static func decimal(_ value: Double) -> (digits: [UInt8], exponent: Int) {
        var digits: [UInt8] = []
        var exponent = 0
        var isFraction = false
        // The standard library finds the digits and writes them in another notation.
        let parts = value.description.utf8.split(separator: UInt8(ascii: "e"))
        for byte in parts[0] {
            if byte == UInt8(ascii: ".") {
                isFraction = true
            } else if byte == UInt8(ascii: "0"), digits.isEmpty {
                if isFraction { exponent -= 1 }
            } else {
                digits.append(byte)
                if !isFraction { exponent += 1 }
            }
        }
        if parts.count > 1 { exponent += Int(Substring(parts[1])) ?? 0 }
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        return (digits, exponent)
    }
}

import ReliabilityFileStore
import ReliabilityStore

/// Text for bytes: the text itself if the bytes are printable text, or `hex:` and hexadecimal digits.
func plainText(_ bytes: [UInt8]) -> String {
    if let text = String(validating: bytes, as: UTF8.self), !text.hasPrefix("hex:"),
        text.unicodeScalars.allSatisfy({ $0.properties.generalCategory.isPrintable })
    {
        return text
    }
    return "hex:"
        + bytes.map { byte in
            let digits = String(byte, radix: 16)
            return byte < 16 ? "0" + digits : digits
        }.joined()
}

extension Unicode.GeneralCategory {
    fileprivate var isPrintable: Bool {
        switch self {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
}

extension StoreKey {
    /// The keyspace and the components as text.
    var parts: [String] {
        let encoded = self.encoded
        guard let count = encoded.first.map(Int.init), count > 0, encoded.count > count else {
            return [plainText(encoded)]
        }
        var parts = [plainText(Array(encoded[1...count]))]
        var reader = ByteReader(encoded, (1 + count)..<encoded.count)
        while !reader.isAtEnd {
            guard let part = try? reader.counted() else { return [plainText(encoded)] }
            parts.append(plainText(part))
        }
        return parts
    }

    /// The parts for people, on a single line.
    var line: String { parts.map { $0.isEmpty ? "''" : $0 }.joined(separator: " ") }
}

/// A number of bytes for people.
func byteText(_ bytes: Int64) -> String {
    var (value, unit) = (bytes, 0)
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while value >= 10 * 1024, unit < units.count - 1 {
        value /= 1024
        unit += 1
    }
    return "\(value) \(units[unit])"
}

/// A number with the singular or the plural of a noun.
func counted(_ number: some BinaryInteger, _ singular: String, _ plural: String? = nil) -> String {
    "\(number) \(number == 1 ? singular : plural ?? singular + "s")"
}

/// A time in Unix milliseconds as ISO 8601 in UTC.
func timeText(_ milliseconds: Int64) -> String {
    func digits(_ number: Int64, _ count: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
    }
    // Times before the year 1 do not occur.
    let milliseconds = max(milliseconds, -62_135_596_800_000)
    let days = (milliseconds < 0 ? milliseconds - 86_399_999 : milliseconds) / 86_400_000
    let rest = milliseconds - days * 86_400_000
    // The civil calendar: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let month = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * month + 2) / 5 + 1
    let civilMonth = month < 10 ? month + 3 : month - 9
    let year = yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0)
    return "\(digits(year, 4))-\(digits(civilMonth, 2))-\(digits(day, 2))T"
        + "\(digits(rest / 3_600_000, 2)):\(digits(rest / 60_000 % 60, 2)):\(digits(rest / 1000 % 60, 2))"
        + ".\(digits(rest % 1000, 3))Z"
}

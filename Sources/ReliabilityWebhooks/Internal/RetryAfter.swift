internal import ReliabilityCore

/// The wait that a response asks for by its field `Retry-After`.
enum RetryAfter {
    /// Returns the wait until the next attempt.
    ///
    /// - Parameters:
    ///   - values: The values of all fields `Retry-After` of the response.
    ///   - scheduled: The scheduled wait.
    ///   - unixSeconds: The present time in Unix seconds.
    /// - Returns: The wait that the only value asks for, from `scheduled` to twice `scheduled`. A value of another form
    ///   and several values count as none.
    static func wait(_ values: [String], scheduled: Duration, unixSeconds: Int64) -> Duration {
        guard values.count == 1, let asked = seconds(Array(values[0].utf8.prefix(64)), unixSeconds) else {
            return scheduled
        }
        return min(max(.seconds(asked), scheduled), scheduled + scheduled)
    }

    /// Returns the seconds of a number or of an HTTP date, or `nil` for any other text.
    ///
    /// A fraction is rounded up.
    private static func seconds(_ text: [UInt8], _ unixSeconds: Int64) -> Int64? {
        if let date = unixTime(text) { return date.saturatingSubtract(unixSeconds) }
        let parts = text.split(separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        let isNumber = { (digits: ArraySlice<UInt8>) in
            !digits.isEmpty && digits.allSatisfy { (0x30...0x39).contains($0) }
        }
        guard parts.allSatisfy(isNumber), let whole = parts.first else { return nil }
        let value = Int64(String(decoding: whole, as: UTF8.self)) ?? .max
        let hasFraction = parts.count == 2 && parts[1].contains { $0 != UInt8(ascii: "0") }
        return hasFraction ? value.saturatingAdd(1) : value
    }

    /// Returns the Unix time of a date such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
    private static func unixTime(_ text: [UInt8]) -> Int64? {
        let fields = text.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard text.count == 29, fields.map(\.count) == [4, 2, 3, 4, 8, 3], fields[5].elementsEqual("GMT".utf8) else {
            return nil
        }
        func number(_ digits: ArraySlice<UInt8>) -> Int64? {
            digits.allSatisfy { (0x30...0x39).contains($0) } ? Int64(String(decoding: digits, as: UTF8.self)) : nil
        }
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let time = fields[4].split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard time.map(\.count) == [2, 2, 2], let day = number(fields[1]), let year = number(fields[3]),
            let month = months.firstIndex(of: String(decoding: fields[2], as: UTF8.self)),
            let hour = number(time[0]), let minute = number(time[1]), let second = number(time[2]),
            (1...31).contains(day), hour < 24, minute < 60, second <= 60
        else { return nil }
        // The days since 1970 in the Gregorian calendar, with years that begin in March.
        let shifted = month >= 2 ? year : year - 1
        let dayOfYear = (153 * ((Int64(month) + 10) % 12) + 2) / 5 + day - 1
        let leapDays = shifted / 4 - shifted / 100 + shifted / 400
        let days = shifted * 365 + leapDays + dayOfYear - 719_468
        return ((days * 24 + hour) * 60 + minute) * 60 + second
    }
}

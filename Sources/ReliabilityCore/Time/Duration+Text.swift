extension Duration {
    /// The duration as text for people, such as `8 s`, `6.3 s`, `250 ms` or `15 min`.
    ///
    /// The text has at most three decimals. Decimals are truncated and not rounded.
    package var text: String {
        let nanoseconds = saturatingNanoseconds
        if nanoseconds < 0 { return "minus " + Duration.nanoseconds(Int64.zero.saturatingSubtract(nanoseconds)).text }
        switch nanoseconds {
        case ..<1_000: return "\(nanoseconds) ns"
        case ..<1_000_000: return "\(decimal(nanoseconds, of: 1_000)) µs"
        case ..<1_000_000_000: return "\(decimal(nanoseconds, of: 1_000_000)) ms"
        case ..<120_000_000_000: return "\(decimal(nanoseconds, of: 1_000_000_000)) s"
        case 3_155_760_000_000_000_000...: return "more than 100 years"
        default: break
        }
        let seconds = nanoseconds / 1_000_000_000
        let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")]
        return parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: " ")
    }

    private func decimal(_ value: Int64, of unit: Int64) -> String {
        let thousandths = value % unit * 1000 / unit
        if thousandths == 0 { return "\(value / unit)" }
        var digits = "\(1000 + thousandths)".dropFirst()
        while digits.last == "0" { digits.removeLast() }
        return "\(value / unit).\(digits)"
    }
}

// Every format is a pass over bytes: linear, ASCII only, and the whole value must match.
extension JSONReader {
    /// Reads a UUID of any version, in lower case.
    ///
    /// - Parameter keys: The keys that lead to the field.
    /// - Returns: The field, such as `9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b`.
    public func uuid(_ keys: String...) -> Field<String> {
        field(keys) { node throws(Problem) in
            try formatted(node, [.lowercased], .uuid, Format.isUUID)
        }
    }

    /// Reads an e-mail address, without spaces around it and in lower case.
    ///
    /// It is a dot-atom of at most 64 bytes, `@`, and a host name of at least two labels, all ASCII and at most 254
    /// bytes; no quoted local parts, comments, address literals or internationalised names. Whether anyone reads what
    /// is sent there, only a message can tell.
    ///
    /// - Parameter keys: The keys that lead to the field.
    /// - Returns: The field.
    public func email(_ keys: String...) -> Field<String> {
        field(keys) { node throws(Problem) in
            try formatted(node, [.trimmed, .lowercased], .email, Format.isEmail)
        }
    }

    /// Reads a phone number in the international form of E.164, without spaces around it.
    ///
    /// It is `+` and 7 to 15 digits, of which the first is not zero.
    ///
    /// - Parameter keys: The keys that lead to the field.
    /// - Returns: The field, such as `+4930123456`.
    public func phone(_ keys: String...) -> Field<String> {
        field(keys) { node throws(Problem) in
            try formatted(node, [.trimmed], .phone, Format.isPhone)
        }
    }

    /// Reads a currency code in the form of ISO 4217: three capital letters.
    ///
    /// - Parameters:
    ///   - keys: The keys that lead to the field.
    ///   - accepted: The codes that are accepted, or nil for any.
    /// - Returns: The field, such as `EUR`.
    public func currency(_ keys: String..., among accepted: Set<String>? = nil) -> Field<String> {
        field(keys) { node throws(Problem) in
            let code = try formatted(node, [], .currency, Format.isCurrency)
            // The code is ASCII, so that equal strings have equal bytes.
            if let accepted, !accepted.contains(code) { throw .unknownCurrency }
            return code
        }
    }

    /// Reads a reference, such as an order number, without spaces around it and in capital letters.
    ///
    /// It is ASCII letters and digits with separators between them, one at a time: space, `-`, `_`, `.` or `/`. So it is
    /// no path that leads upwards, no markup, no option of a command and no formula of a spreadsheet.
    ///
    /// - Parameters:
    ///   - keys: The keys that lead to the field.
    ///   - bytes: How many bytes it may have.
    /// - Returns: The field, such as `PO-2024/117`.
    public func reference(_ keys: String..., bytes: ClosedRange<Int> = 1...64) -> Field<String> {
        field(keys) { node throws(Problem) in
            let isRefused = Format.isNotPrintableASCII
            let text = try normalizedText(node, bytes: bytes, [.trimmed, .uppercased], unless: isRefused, .reference)
            guard Format.isReference(text) else { throw .reference }
            return String(decoding: text, as: UTF8.self)
        }
    }

    private func formatted(
        _ node: Int,
        _ normalization: Normalization,
        _ problem: Problem,
        _ matches: (ArraySlice<UInt8>) -> Bool
    ) throws(Problem) -> String {
        let text = try normalizedText(
            node,
            bytes: 0...Int.max,
            normalization,
            unless: Format.isNotPrintableASCII,
            problem
        )
        guard matches(text) else { throw problem }
        return String(decoding: text, as: UTF8.self)
    }
}

// Each format is checked in a linear pass over the bytes. The whole value must match and must be ASCII.
extension JSONReader {
    /// Reads a UUID of any version.
    ///
    /// - Parameter keys: The path to the field.
    /// - Returns: The UUID in lower case, such as `9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b`.
    public func uuid(_ keys: String...) -> JSONField<String> {
        field(keys) { node throws(Issue) in
            try formatted(node, [.lowercased], .uuid, Format.isUUID)
        }
    }

    /// Reads an e-mail address.
    ///
    /// The local part is a dot-atom of at most 64 bytes. The host name has at least two labels, and the last label is
    /// not a number. The address is ASCII and has at most 254 bytes. Quoted local parts, comments, address literals and
    /// internationalized names are rejected. The check does not prove that the mailbox exists.
    ///
    /// - Parameter keys: The path to the field.
    /// - Returns: The address in lower case, without surrounding white space.
    public func email(_ keys: String...) -> JSONField<String> {
        field(keys) { node throws(Issue) in
            try formatted(node, [.trimmed, .lowercased], .email, Format.isEmail)
        }
    }

    /// Reads a phone number in the international form of E.164.
    ///
    /// The number is `+` followed by 7 to 15 digits. The first digit is not zero.
    ///
    /// - Parameter keys: The path to the field.
    /// - Returns: The number without surrounding white space, such as `+4930123456`.
    public func phone(_ keys: String...) -> JSONField<String> {
        field(keys) { node throws(Issue) in
            try formatted(node, [.trimmed], .phone, Format.isPhone)
        }
    }

    /// Reads a currency code of three capital letters in the form of ISO 4217.
    ///
    /// - Parameters:
    ///   - keys: The path to the field.
    ///   - accepted: The accepted codes, or `nil` to accept any three capital letters. Defaults to `nil`.
    /// - Returns: The code, such as `EUR`.
    public func currency(_ keys: String..., among accepted: Set<String>? = nil) -> JSONField<String> {
        field(keys) { node throws(Issue) in
            let code = try formatted(node, [], .currency, Format.isCurrency)
            // The code is ASCII, so equal strings have equal bytes.
            if let accepted, !accepted.contains(code) { throw .unknownCurrency }
            return code
        }
    }

    /// Reads an alphanumeric code, such as an order number or a payment reference.
    ///
    /// The code consists of ASCII letters and digits with single separators between them. The separators are space,
    /// `-`, `_`, `.` and `/`. Such a code is never a path to a parent directory, markup, a command-line option or a
    /// spreadsheet formula. A value of another form is reported as `validation.invalid_reference`.
    ///
    /// - Parameters:
    ///   - keys: The path to the field.
    ///   - bytes: The accepted lengths in bytes after surrounding white space is removed. Defaults to 1 to 64.
    /// - Returns: The code in upper case, without surrounding white space, such as `PO-2024/117`.
    public func alphanumericCode(_ keys: String..., bytes: ClosedRange<Int> = 1...64) -> JSONField<String> {
        field(keys) { node throws(Issue) in
            let text = try normalizedText(
                node,
                bytes: bytes,
                [.trimmed, .uppercased],
                unless: Format.isNotPrintableASCII,
                .alphanumericCode
            )
            guard Format.isAlphanumericCode(text) else { throw .alphanumericCode }
            return String(decoding: text, as: UTF8.self)
        }
    }

    private func formatted(
        _ node: Int,
        _ normalization: Normalization,
        _ issue: Issue,
        _ matches: (ArraySlice<UInt8>) -> Bool
    ) throws(Issue) -> String {
        let text = try normalizedText(
            node,
            bytes: 0...Int.max,
            normalization,
            unless: Format.isNotPrintableASCII,
            issue
        )
        guard matches(text) else { throw issue }
        return String(decoding: text, as: UTF8.self)
    }
}

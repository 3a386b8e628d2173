extension JSONReader {
    /// Reads a string of a single line.
    ///
    /// The value can neither break a log line or header nor reorder or hide text. Rejected characters are:
    ///
    /// - control characters (C0 with tab and line breaks, DELETE, C1)
    /// - line and paragraph separators
    /// - marks of writing direction
    /// - zero-width spaces and joiners
    /// - byte order marks and tags
    /// - fillers and variation selectors
    /// - other invisible characters
    ///
    /// White space and the blank Braille pattern (U+2800) are accepted. A single variation selector is accepted in
    /// these places:
    ///
    /// - U+FE0E or U+FE0F directly after an emoji (❤️) or in a keycap (1️⃣)
    /// - U+E0100 to U+E01EF directly after an ideograph, as in some Japanese names
    ///
    /// Such a value looks like the value without the selector if a font lacks the selected form.
    ///
    /// Some Persian and Indic names and some emoji contain joiners (U+200C and U+200D). ``text(_:bytes:normalized:)``
    /// accepts joiners.
    ///
    /// - Parameters:
    ///   - keys: The path to the field.
    ///   - bytes: The accepted lengths in UTF-8 bytes after normalization.
    ///   - normalization: The changes made before the length is checked. Defaults to none.
    /// - Returns: The normalized string.
    public func string(
        _ keys: String...,
        bytes: ClosedRange<Int>,
        normalized normalization: Normalization = []
    ) -> JSONField<String> {
        field(keys) { node throws(Issue) in
            let text = try normalizedText(node, bytes: bytes, normalization, unless: Format.isUnsafeInLine)
            return String(decoding: text, as: UTF8.self)
        }
    }

    /// Reads a string that may have several lines.
    ///
    /// Tab, line feed, carriage return, U+2028 and U+2029 are accepted. Other control characters are rejected.
    /// Invisible characters and marks of writing direction are accepted and must be escaped before the text is logged
    /// or sent in a header.
    ///
    /// - Parameters:
    ///   - keys: The path to the field.
    ///   - bytes: The accepted lengths in UTF-8 bytes after normalization.
    ///   - normalization: The changes made before the length is checked. Defaults to none.
    /// - Returns: The normalized string.
    public func text(
        _ keys: String...,
        bytes: ClosedRange<Int>,
        normalized normalization: Normalization = []
    ) -> JSONField<String> {
        field(keys) { node throws(Issue) in
            let text = try normalizedText(node, bytes: bytes, normalization, unless: Format.isUnsafeInText)
            return String(decoding: text, as: UTF8.self)
        }
    }

    /// Reads a whole number without rounding.
    ///
    /// A number with a fraction or an exponent is rejected (such as `1.0` or `1e2`). A number that does not fit into
    /// `Int128` is outside every range.
    ///
    /// - Parameters:
    ///   - keys: The path to the field.
    ///   - range: The accepted numbers.
    /// - Returns: The exact number.
    @inlinable
    public func integer<Value: FixedWidthInteger>(_ keys: String..., in range: ClosedRange<Value>) -> JSONField<Value> {
        // `wholeNumber` is not generic and is compiled once, in this module.
        let exact = wholeNumber(keys, in: Int128(clamping: range.lowerBound)...Int128(clamping: range.upperBound))
        return exact.with(exact.content.map(Value.init(truncatingIfNeeded:)))
    }

    @usableFromInline
    func wholeNumber(_ keys: [String], in range: ClosedRange<Int128>) -> JSONField<Int128> {
        field(keys) { node throws(Issue) in
            let text = try token(node, .number, "a number")
            let isNegative = text.first == UInt8(ascii: "-")
            guard (isNegative ? text.dropFirst() : text).allSatisfy(Format.isDigit) else { throw .notAnInteger }
            // A number of more than 128 bits is outside every range.
            guard let value = Format.integer(text) else {
                throw isNegative ? .tooSmall("\(range.lowerBound)") : .tooLarge("\(range.upperBound)")
            }
            if value < range.lowerBound { throw .tooSmall("\(range.lowerBound)") }
            if value > range.upperBound { throw .tooLarge("\(range.upperBound)") }
            return value
        }
    }

    /// Reads a number, rounded to the nearest `Double`.
    ///
    /// Use ``integer(_:in:)`` for money and identifiers.
    ///
    /// - Parameters:
    ///   - keys: The path to the field.
    ///   - range: The accepted numbers. Infinity is never accepted, even if the range is unbounded.
    /// - Returns: The nearest finite `Double`.
    public func number(_ keys: String..., in range: ClosedRange<Double>) -> JSONField<Double> {
        field(keys) { node throws(Issue) in
            let text = try token(node, .number, "a number")
            guard let value = Double(String(decoding: text, as: UTF8.self)) else { throw .wrongType("a number") }
            if value < range.lowerBound || value == -.infinity { throw .tooSmall(range.lowerBound) }
            if value > range.upperBound || value == .infinity { throw .tooLarge(range.upperBound) }
            return value
        }
    }

    /// Reads `true` or `false`.
    ///
    /// - Parameter keys: The path to the field.
    /// - Returns: The Boolean value.
    public func bool(_ keys: String...) -> JSONField<Bool> {
        field(keys) { node throws(Issue) in
            switch context.tape.nodes[node].kind {
            case .true: true
            case .false: false
            default: throw .wrongType("true or false")
            }
        }
    }

    /// Reads a case of an enumeration.
    ///
    /// The string must have the same bytes as the raw value of the case.
    ///
    /// - Parameters:
    ///   - keys: The path to the field.
    ///   - type: The enumeration.
    /// - Returns: The case.
    public func choice<Value: CaseIterable & RawRepresentable<String>>(
        _ keys: String...,
        of type: Value.Type = Value.self
    ) -> JSONField<Value> {
        field(keys) { node throws(Issue) in
            let text = try token(node, .string, "a string")
            // `init(rawValue:)` would accept canonically equivalent strings.
            guard let value = type.allCases.first(where: { text.elementsEqual($0.rawValue.utf8) }) else {
                throw .unknownChoice(type.allCases.map(\.rawValue))
            }
            return value
        }
    }
}

// Helpers of the text readers.
extension JSONReader {
    /// Returns the text of a node of the expected kind.
    func token(_ node: Int, _ kind: JSONTape.Kind, _ expected: String) throws(Issue) -> ArraySlice<UInt8> {
        guard context.tape.nodes[node].kind == kind else { throw .wrongType(expected) }
        return context.tape.text(node)
    }

    /// Returns the normalized text of a string with an accepted length.
    func normalizedText(
        _ node: Int,
        bytes: ClosedRange<Int>,
        _ normalization: Normalization,
        unless isRejected: (ArraySlice<UInt8>) -> Bool,
        _ issue: Issue = .controlCharacter
    ) throws(Issue) -> ArraySlice<UInt8> {
        let text = try token(node, .string, "a string")
        // The check precedes trimming, so a trailing line break is rejected and not removed.
        if isRejected(text) { throw issue }
        let normalized = normalization.apply(to: text)
        if normalized.count < bytes.lowerBound { throw .tooShort(atLeast: bytes.lowerBound) }
        if normalized.count > bytes.upperBound { throw .tooLong(limit: bytes.upperBound) }
        return normalized
    }
}

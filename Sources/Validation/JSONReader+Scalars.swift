extension JSONReader {
    /// Reads a string of one line.
    ///
    /// A character is refused if it is a control (C0 with tab and line breaks, DELETE, C1), a line or paragraph separator,
    /// or invisible: a mark of writing direction, zero-width space, joiner, byte order mark, tag, filler, variation
    /// selector. So the value cannot break a log line or a header, reorder what a reader sees, or hide text. White space
    /// and the blank pattern of Braille (U+2800) are accepted.
    ///
    /// A single variation selector is accepted where it belongs: U+FE0E or U+FE0F directly after an emoji, as in ❤️, or in
    /// a keycap, as in 1️⃣, and U+E0100 to U+E01EF directly after an ideograph, as in some Japanese names. Where a font
    /// does not have the other form, such a value looks like the one without the selector.
    ///
    /// Some names in Persian and in Indic scripts and some emoji have joiners (U+200C, U+200D); ``text(_:bytes:normalized:)``
    /// accepts these.
    ///
    /// - Parameters:
    ///   - keys: The keys that lead to the field.
    ///   - bytes: How many bytes the string may have in UTF-8, once it is normalised.
    ///   - normalization: What is done to it before.
    /// - Returns: The field.
    public func string(
        _ keys: String...,
        bytes: ClosedRange<Int>,
        normalized normalization: Normalization = []
    ) -> Field<String> {
        field(keys) { node throws(Problem) in
            let text = try normalizedText(node, bytes: bytes, normalization, unless: Format.isUnsafeInLine)
            return String(decoding: text, as: UTF8.self)
        }
    }

    /// Reads a string that may have several lines.
    ///
    /// Tab, line feed, carriage return, U+2028 and U+2029 are accepted; other control characters are refused. Invisible
    /// characters and marks of writing direction are accepted: escape them before the text gets into a log or a header.
    ///
    /// - Parameters:
    ///   - keys: The keys that lead to the field.
    ///   - bytes: How many bytes the string may have in UTF-8, once it is normalised.
    ///   - normalization: What is done to it before.
    /// - Returns: The field.
    public func text(
        _ keys: String...,
        bytes: ClosedRange<Int>,
        normalized normalization: Normalization = []
    ) -> Field<String> {
        field(keys) { node throws(Problem) in
            let text = try normalizedText(node, bytes: bytes, normalization, unless: Format.isUnsafeInText)
            return String(decoding: text, as: UTF8.self)
        }
    }

    /// Reads a whole number, exactly.
    ///
    /// It must be written without fraction and exponent: `1.0` and `1e2` are refused. Nothing is rounded. A number that
    /// does not fit into `Int128` is beyond every range.
    ///
    /// - Parameters:
    ///   - keys: The keys that lead to the field.
    ///   - range: The numbers that are accepted.
    /// - Returns: The field.
    @inlinable
    public func integer<Value: FixedWidthInteger>(_ keys: String..., in range: ClosedRange<Value>) -> Field<Value> {
        // The rest is the same for every type, and so compiled here and not in the caller's module.
        let exact = wholeNumber(keys, in: Int128(clamping: range.lowerBound)...Int128(clamping: range.upperBound))
        return exact.with(exact.content.map(Value.init(truncatingIfNeeded:)))
    }

    @usableFromInline
    func wholeNumber(_ keys: [String], in range: ClosedRange<Int128>) -> Field<Int128> {
        field(keys) { node throws(Problem) in
            let text = try token(node, .number, "a number")
            let isNegative = text.first == UInt8(ascii: "-")
            guard (isNegative ? text.dropFirst() : text).allSatisfy(Format.isDigit) else { throw .notAnInteger }
            // What 128 bits cannot hold is beyond every range.
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
    /// Use ``integer(_:in:)`` for money and for identifiers.
    ///
    /// - Parameters:
    ///   - keys: The keys that lead to the field.
    ///   - range: The numbers that are accepted; they are finite.
    /// - Returns: The field.
    public func number(_ keys: String..., in range: ClosedRange<Double>) -> Field<Double> {
        field(keys) { node throws(Problem) in
            let text = try token(node, .number, "a number")
            guard let value = Double(String(decoding: text, as: UTF8.self)) else { throw .wrongType("a number") }
            if value < range.lowerBound || value == -.infinity { throw .tooSmall(range.lowerBound) }
            if value > range.upperBound || value == .infinity { throw .tooLarge(range.upperBound) }
            return value
        }
    }

    /// Reads `true` or `false`.
    ///
    /// - Parameter keys: The keys that lead to the field.
    /// - Returns: The field.
    public func bool(_ keys: String...) -> Field<Bool> {
        field(keys) { node throws(Problem) in
            switch reading.tape.nodes[node].kind {
            case .yes: true
            case .no: false
            default: throw .wrongType("true or false")
            }
        }
    }

    /// Reads one of the cases of an enumeration, by its raw value's bytes.
    ///
    /// - Parameters:
    ///   - keys: The keys that lead to the field.
    ///   - type: The enumeration.
    /// - Returns: The field.
    public func choice<Value: CaseIterable & RawRepresentable<String>>(
        _ keys: String...,
        of type: Value.Type = Value.self
    ) -> Field<Value> {
        field(keys) { node throws(Problem) in
            let text = try token(node, .string, "a string")
            // Not `init(rawValue:)`, which holds canonically equivalent strings to be the same.
            guard let value = type.allCases.first(where: { text.elementsEqual($0.rawValue.utf8) }) else {
                throw .unknownChoice(type.allCases.map(\.rawValue))
            }
            return value
        }
    }
}

// What the readers of text share.
extension JSONReader {
    /// The text of a node of one kind.
    func token(_ node: Int, _ kind: JSONTape.Kind, _ expected: String) throws(Problem) -> ArraySlice<UInt8> {
        guard reading.tape.nodes[node].kind == kind else { throw .wrongType(expected) }
        return reading.tape.text(node)
    }

    /// The text of a string, normalised and of the right length.
    func normalizedText(
        _ node: Int,
        bytes: ClosedRange<Int>,
        _ normalization: Normalization,
        unless isRefused: (ArraySlice<UInt8>) -> Bool,
        _ problem: Problem = .controlCharacter
    ) throws(Problem) -> ArraySlice<UInt8> {
        let text = try token(node, .string, "a string")
        // Before trimming: a line break at the end is refused, not removed.
        if isRefused(text) { throw problem }
        let normalized = normalization.apply(to: text)
        if normalized.count < bytes.lowerBound { throw .tooShort(atLeast: bytes.lowerBound) }
        if normalized.count > bytes.upperBound { throw .tooLong(limit: bytes.upperBound) }
        return normalized
    }
}

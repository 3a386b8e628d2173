internal import ReliabilityCore

/// One thing that can be wrong with an input: its stable code and its sentence.
///
/// Codes are never renamed. A message holds limits and allowed values, never what was sent.
struct Problem: Error, Hashable {
    let code: ErrorCode
    let message: String

    init(_ code: ErrorCode, _ message: String) {
        self.code = code
        self.message = message
    }
}

// The document.
extension Problem {
    static func malformed(at offset: Int) -> Problem {
        Problem("validation.malformed_json", "The body is not valid JSON, at byte \(offset).")
    }
    static let byteOrderMark = Problem(
        "validation.byte_order_mark",
        "The body must be UTF-8 without a byte order mark."
    )
    static func invalidUTF8(at offset: Int) -> Problem {
        Problem("validation.invalid_utf8", "The body is not valid UTF-8, at byte \(offset).")
    }
    static let loneSurrogate = Problem("validation.lone_surrogate", "A string must not have half a surrogate pair.")
    static let nullCharacter = Problem("validation.null_character", "A string must not have the character U+0000.")
    static let duplicateKey = Problem("validation.duplicate_key", "A field must not occur twice.")
    static func tooDeep(limit: Int) -> Problem {
        Problem("validation.too_deep", "Must not nest deeper than \(count(limit, "level")).")
    }
    static func tooManyMembers(limit: Int) -> Problem {
        Problem("validation.too_many_members", "Must not have more than \(count(limit, "field")).")
    }
    static func tooManyValues(limit: Int) -> Problem {
        Problem("validation.too_many_values", "The body must not have more than \(count(limit, "value")).")
    }
    static func numberTooLong(limit: Int) -> Problem {
        Problem("validation.number_too_long", "A number must not be longer than \(count(limit, "byte")).")
    }
}

// Any field.
extension Problem {
    static let required = Problem("validation.required", "Is required.")
    static let unknownField = Problem("validation.unknown_field", "Is not a known field.")
    static func wrongType(_ expected: String) -> Problem { Problem("validation.wrong_type", "Must be \(expected).") }
}

// Sizes and numbers.
extension Problem {
    static func tooShort(atLeast limit: Int) -> Problem {
        Problem("validation.too_short", atLeast(limit, "byte"))
    }
    static func tooLong(limit: Int) -> Problem { Problem("validation.too_long", atMost(limit, "byte")) }
    static func tooFewItems(atLeast limit: Int) -> Problem {
        Problem("validation.too_few_items", atLeast(limit, "item"))
    }
    static func tooManyItems(limit: Int) -> Problem { Problem("validation.too_many_items", atMost(limit, "item")) }

    private static func atLeast(_ limit: Int, _ noun: String) -> String {
        limit == 1 ? "Must not be empty." : "Must have at least \(count(limit, noun))."
    }
    private static func atMost(_ limit: Int, _ noun: String) -> String {
        limit == 0 ? "Must be empty." : "Must have at most \(count(limit, noun))."
    }
    /// Such as `1 byte` and `2 bytes`.
    static func count(_ count: Int, _ noun: String) -> String { count == 1 ? "1 \(noun)" : "\(count) \(noun)s" }
    static let notAnInteger = Problem(
        "validation.not_an_integer",
        "Must be a whole number, written without fraction and exponent."
    )
    static func tooSmall(_ bound: String) -> Problem { Problem("validation.too_small", "Must be at least \(bound).") }
    static func tooLarge(_ bound: String) -> Problem { Problem("validation.too_large", "Must be at most \(bound).") }

    static func tooSmall(_ bound: Double) -> Problem {
        bound.isFinite ? tooSmall(text(bound)) : Problem("validation.too_small", beyondDouble)
    }
    static func tooLarge(_ bound: Double) -> Problem {
        bound.isFinite ? tooLarge(text(bound)) : Problem("validation.too_large", beyondDouble)
    }
    private static let beyondDouble = "Must fit into a 64-bit floating-point number."
    private static func text(_ number: Double) -> String {
        var text: [UInt8] = []
        CanonicalNumber.append(number, to: &text)
        return String(decoding: text, as: UTF8.self)
    }
}

// Text.
extension Problem {
    static let controlCharacter = Problem(
        "validation.control_character",
        "Must not have control or other invisible characters."
    )
    static let email = Problem("validation.invalid_email", "Must be an e-mail address.")
    static let uuid = Problem("validation.invalid_uuid", "Must be a UUID.")
    static let phone = Problem(
        "validation.invalid_phone",
        "Must be a phone number in international form, such as +4930123456."
    )
    static let currency = Problem("validation.invalid_currency", "Must be a three-letter currency code, such as EUR.")
    static let unknownCurrency = Problem("validation.unknown_currency", "Must be a currency that is accepted here.")
    static let reference = Problem(
        "validation.invalid_reference",
        "Must be letters and digits with single separators (space - _ . /) between them."
    )
    /// Lists the choices, but for those past the first twenty or past 512 bytes.
    static func unknownChoice(_ allowed: [String]) -> Problem {
        var listed = ""
        for (position, choice) in allowed.enumerated() {
            if position == 20 || listed.utf8.count + choice.utf8.count > 512 {
                listed += position == 0 ? "…" : ", …"
                break
            }
            listed += position == 0 ? choice : ", \(choice)"
        }
        return Problem("validation.unknown_choice", "Must be one of: \(listed).")
    }
}

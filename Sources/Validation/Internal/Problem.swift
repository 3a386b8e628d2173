internal import ReliabilityCore

/// One thing that can be wrong with an input: its stable code and its sentence.
///
/// Codes are never renamed. A message holds limits and allowed values, never what was sent.
struct Problem: Error {
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
        Problem("validation.too_deep", "Must not nest deeper than \(limit) levels.")
    }
    static func tooManyMembers(limit: Int) -> Problem {
        Problem("validation.too_many_members", "Must not have more than \(limit) fields.")
    }
    static func tooManyValues(limit: Int) -> Problem {
        Problem("validation.too_many_values", "The body must not have more than \(limit) values.")
    }
    static func numberTooLong(limit: Int) -> Problem {
        Problem("validation.number_too_long", "A number must not be longer than \(limit) bytes.")
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
    static func tooShort(_ bytes: ClosedRange<Int>) -> Problem {
        Problem("validation.too_short", "Must have at least \(bytes.lowerBound) bytes.")
    }
    static func tooLong(limit: Int) -> Problem {
        Problem("validation.too_long", "Must have at most \(limit) bytes.")
    }
    static func tooFewItems(_ count: ClosedRange<Int>) -> Problem {
        Problem("validation.too_few_items", "Must have at least \(count.lowerBound) items.")
    }
    static func tooManyItems(limit: Int) -> Problem {
        Problem("validation.too_many_items", "Must have at most \(limit) items.")
    }
    static let notAnInteger = Problem(
        "validation.not_an_integer",
        "Must be a whole number, written without fraction and exponent."
    )
    static func tooSmall(_ range: ClosedRange<some Comparable>) -> Problem {
        Problem("validation.too_small", "Must be at least \(range.lowerBound).")
    }
    static func tooLarge(_ range: ClosedRange<some Comparable>) -> Problem {
        Problem("validation.too_large", "Must be at most \(range.upperBound).")
    }
}

// Text.
extension Problem {
    static let controlCharacter = Problem("validation.control_character", "Must not have control characters.")
    static let email = Problem("validation.invalid_email", "Must be an e-mail address.")
    static let uuid = Problem("validation.invalid_uuid", "Must be a UUID.")
    static let phone = Problem(
        "validation.invalid_phone",
        "Must be a phone number in international form, such as +4930123456."
    )
    static let currency = Problem("validation.invalid_currency", "Must be a three-letter currency code, such as EUR.")
    static let unknownCurrency = Problem("validation.unknown_currency", "Must be a currency that is accepted here.")
    static let reference = Problem("validation.invalid_reference", "Must be printable ASCII.")
    static func unknownChoice(_ allowed: [String]) -> Problem {
        let listed = allowed.prefix(20).joined(separator: ", ")
        return Problem("validation.unknown_choice", "Must be one of: \(listed)\(allowed.count > 20 ? ", …" : "").")
    }
}

internal import ReliabilityCore

/// An issue of an input: a stable code and a message.
///
/// Codes are never renamed. A message may contain limits and accepted values. No message contains a part of the input.
struct Issue: Error, Hashable {
    let code: ErrorCode
    let message: String

    init(_ code: ErrorCode, _ message: String) {
        self.code = code
        self.message = message
    }
}

// The document.
extension Issue {
    static func malformed(at offset: Int) -> Issue {
        Issue("validation.malformed_json", "The body is not valid JSON, at byte \(offset).")
    }
    static let byteOrderMark = Issue(
        "validation.byte_order_mark",
        "The body must be UTF-8 without a byte order mark."
    )
    static func invalidUTF8(at offset: Int) -> Issue {
        Issue("validation.invalid_utf8", "The body is not valid UTF-8, at byte \(offset).")
    }
    static let loneSurrogate = Issue("validation.lone_surrogate", "A string must not contain a lone surrogate.")
    static let nullCharacter = Issue("validation.null_character", "A string must not contain the character U+0000.")
    static let duplicateKey = Issue("validation.duplicate_key", "A field must not occur twice.")
    static func tooDeep(limit: Int) -> Issue {
        Issue("validation.too_deep", "Must not nest deeper than \(count(limit, "level")).")
    }
    static func tooManyMembers(limit: Int) -> Issue {
        Issue("validation.too_many_members", "Must not have more than \(count(limit, "field")).")
    }
    static func tooManyValues(limit: Int) -> Issue {
        Issue("validation.too_many_values", "The body must not have more than \(count(limit, "value")).")
    }
    static func numberTooLong(limit: Int) -> Issue {
        Issue("validation.number_too_long", "A number must not be longer than \(count(limit, "byte")).")
    }
}

// Any field.
extension Issue {
    static let required = Issue("validation.required", "Is required.")
    static let unknownField = Issue("validation.unknown_field", "Is not a known field.")
    static func wrongType(_ expected: String) -> Issue { Issue("validation.wrong_type", "Must be \(expected).") }
}

// Sizes and numbers.
extension Issue {
    static func tooShort(atLeast limit: Int) -> Issue {
        Issue("validation.too_short", atLeast(limit, "byte"))
    }
    static func tooLong(limit: Int) -> Issue { Issue("validation.too_long", atMost(limit, "byte")) }
    static func tooFewItems(atLeast limit: Int) -> Issue {
        Issue("validation.too_few_items", atLeast(limit, "item"))
    }
    static func tooManyItems(limit: Int) -> Issue { Issue("validation.too_many_items", atMost(limit, "item")) }

    private static func atLeast(_ limit: Int, _ noun: String) -> String {
        limit == 1 ? "Must not be empty." : "Must have at least \(count(limit, noun))."
    }
    private static func atMost(_ limit: Int, _ noun: String) -> String {
        limit == 0 ? "Must be empty." : "Must have at most \(count(limit, noun))."
    }
    /// Returns a number with its noun, such as `1 byte` or `2 bytes`.
    static func count(_ count: Int, _ noun: String) -> String { count == 1 ? "1 \(noun)" : "\(count) \(noun)s" }
    static let notAnInteger = Issue(
        "validation.not_an_integer",
        "Must be a whole number, written without fraction and exponent."
    )
    static func tooSmall(_ bound: String) -> Issue { Issue("validation.too_small", "Must be at least \(bound).") }
    static func tooLarge(_ bound: String) -> Issue { Issue("validation.too_large", "Must be at most \(bound).") }

    static func tooSmall(_ bound: Double) -> Issue {
        bound.isFinite ? tooSmall(text(bound)) : Issue("validation.too_small", beyondDouble)
    }
    static func tooLarge(_ bound: Double) -> Issue {
        bound.isFinite ? tooLarge(text(bound)) : Issue("validation.too_large", beyondDouble)
    }
    private static let beyondDouble = "Must fit into a 64-bit floating-point number."
    private static func text(_ number: Double) -> String {
        var text: [UInt8] = []
        CanonicalNumber.append(number, to: &text)
        return String(decoding: text, as: UTF8.self)
    }
}

// Text.
extension Issue {
    static let controlCharacter = Issue(
        "validation.control_character",
        "Must not contain control or other invisible characters."
    )
    static let email = Issue("validation.invalid_email", "Must be an e-mail address.")
    static let uuid = Issue("validation.invalid_uuid", "Must be a UUID.")
    static let phone = Issue(
        "validation.invalid_phone",
        "Must be a phone number in international form, such as +4930123456."
    )
    static let currency = Issue("validation.invalid_currency", "Must be a three-letter currency code, such as EUR.")
    static let unknownCurrency = Issue("validation.unknown_currency", "Must be an accepted currency.")
    static let alphanumericCode = Issue(
        "validation.invalid_reference",
        "Must be letters and digits with single separators (space - _ . /) between them."
    )
    /// An unknown choice with a list of at most 20 accepted choices and about 512 bytes.
    static func unknownChoice(_ allowed: [String]) -> Issue {
        var listed = ""
        for (position, choice) in allowed.enumerated() {
            if position == 20 || listed.utf8.count + choice.utf8.count > 512 {
                listed += position == 0 ? "…" : ", …"
                break
            }
            listed += position == 0 ? choice : ", \(choice)"
        }
        return Issue("validation.unknown_choice", "Must be one of: \(listed).")
    }
}

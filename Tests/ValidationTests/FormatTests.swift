import ReliabilityCore
import Testing
import Validation

@Suite("Formats")
struct FormatTests {
    private func parsed(_ value: String, _ read: (JSONReader) -> JSONField<String>) -> String? {
        try? Validator().parse("\"\(value)\"".utf8) { try read($0).value }
    }

    @Test(
        "Valid e-mail addresses are accepted and normalized",
        arguments: [
            ("ada@example.org", "ada@example.org"), ("A.B+tag@Sub.Example.ORG", "a.b+tag@sub.example.org"),
            ("  ada@example.org  ", "ada@example.org"), ("!#$%&'*+-/=?^_`{|}~@x.yz", "!#$%&'*+-/=?^_`{|}~@x.yz"),
            ("a@1.2.x", "a@1.2.x"), ("a@x-y.z9", "a@x-y.z9"), ("1@1.io", "1@1.io"),
        ]
    )
    func acceptsEmail(_ value: String, _ normal: String) {
        #expect(parsed(value) { $0.email() } == normal)
    }

    @Test(
        "Invalid e-mail addresses are rejected",
        arguments: [
            "", " ", "ada", "@", "ada@", "@example.org", "ada@example", "ada@@example.org", "a@b@example.org",
            ".ada@example.org", "ada.@example.org", "a..b@example.org", "a b@example.org", "ada@ example.org",
            "ada@example..org", "ada@.example.org", "ada@example.org.", "ada@-example.org", "ada@example-.org",
            "ada@exam_ple.org", "ada@example.123", "ada@127.0.0.1", "ada@[127.0.0.1]", "ada@example.org,b@example.org",
            "<ada@example.org>", "ada@example.org;", "adä@example.org", "ada@exämple.org", "../../etc/passwd",
            "(c)ada@example.org", "ada(c)@example.org", "a:b@example.org",
        ]
    )
    func rejectsEmail(_ value: String) {
        #expect(parsed(value) { $0.email() } == nil)
    }

    @Test("The length limits of e-mail addresses are exact")
    func emailLengths() {
        func text(_ count: Int) -> String { String(repeating: "a", count: count) }
        #expect(parsed("\(text(64))@x.yz") { $0.email() } != nil)
        #expect(parsed("\(text(65))@x.yz") { $0.email() } == nil)
        #expect(parsed("a@\(text(63)).yz") { $0.email() } != nil)
        #expect(parsed("a@\(text(64)).yz") { $0.email() } == nil)
        // 252 + 2 bytes, then one more.
        let host = [text(63), text(63), text(63), text(58), "x"].joined(separator: ".")
        #expect(parsed("a@\(host)") { $0.email() } != nil)
        #expect(parsed("aa@\(host)x") { $0.email() } == nil)
    }

    @Test(
        "Valid UUIDs are accepted in lower case",
        arguments: [
            "9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b", "9B2F6A3E-0C1D-4E5F-8A9B-0C1D2E3F4A5B",
            "00000000-0000-0000-0000-000000000000",
        ]
    )
    func acceptsUUID(_ value: String) {
        #expect(parsed(value) { $0.uuid() } == value.lowercased())
    }

    @Test(
        "Invalid UUIDs are rejected",
        arguments: [
            "", "9b2f6a3e0c1d4e5f8a9b0c1d2e3f4a5b", "{9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b}",
            "9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5", "9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b0",
            "9b2f6a3g-0c1d-4e5f-8a9b-0c1d2e3f4a5b", "9b2f6a3e_0c1d-4e5f-8a9b-0c1d2e3f4a5b",
            "9b2f6a3-e0c1d-4e5f-8a9b-0c1d2e3f4a5b", " 9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b",
            "urn:uuid:9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b",
        ]
    )
    func rejectsUUID(_ value: String) {
        #expect(parsed(value) { $0.uuid() } == nil)
    }

    @Test(
        "Valid phone numbers are accepted and trimmed",
        arguments: ["+1234567", "+123456789012345", "+4930123456"]
    )
    func acceptsPhone(_ value: String) {
        #expect(parsed(value) { $0.phone() } == value)
        #expect(parsed(" \(value) ") { $0.phone() } == value)
    }

    @Test(
        "Invalid phone numbers are rejected",
        arguments: [
            "", "+", "1234567", "+123456", "+1234567890123456", "+0123456789", "004930123456", "+49 30 123456",
            "+49-30-123456", "+49(30)123456", "++4930123456", "+4930123456x1",
        ]
    )
    func rejectsPhone(_ value: String) {
        #expect(parsed(value) { $0.phone() } == nil)
    }

    @Test(
        "Invalid currency codes are rejected",
        arguments: ["", "eur", "Eur", "EURO", "EU", "E1R", " EUR", "EUR ", "€"]
    )
    func rejectsCurrency(_ value: String) {
        #expect(parsed(value) { $0.currency() } == nil)
    }

    @Test("Only accepted currencies are accepted")
    func currency() {
        #expect(parsed("EUR") { $0.currency(among: ["EUR"]) } == "EUR")
        #expect(parsed("XYZ") { $0.currency() } == "XYZ")
        #expect(issues("\"XYZ\"") { try $0.currency(among: ["EUR"]).value } == [" validation.unknown_currency"])
    }

    @Test(
        "Alphanumeric codes are trimmed and upper-cased",
        arguments: [
            ("po-17", "PO-17"), ("  a b/c_1.2  ", "A B/C_1.2"), ("PO-2024/117", "PO-2024/117"), ("7", "7"),
            ("RF18 5390 0754 7034", "RF18 5390 0754 7034"),
        ]
    )
    func alphanumericCode(_ value: String, _ normal: String) {
        #expect(parsed(value) { $0.alphanumericCode() } == normal)
    }

    @Test(
        "Paths, markup, options and formulas are rejected as alphanumeric codes",
        arguments: [
            "../../etc/passwd", "..", ".", "/etc/passwd", "a/../b", "a/./b", "a//b", "a/", "-rf", "a-", "--", "a--b",
            "a  b", "<script>", "a<b", "a>b", "a&b", "a'b", #"a\"b"#, "a`b", "a;b", "a|b", "$(a)", "a$b", "%2e%2e",
            "a%b",
            "=1+1", "@SUM(1)", "a=b", "a+b", "C:\\\\a", "a\\\\b", "a:b", "a?b", "a#b", "a*b", "~{}", "@[`", "é", "a_-b",
            ".htaccess",
        ]
    )
    func rejectsAlphanumericCode(_ value: String) {
        #expect(issues("\"\(value)\"") { try $0.alphanumericCode().value } == [" validation.invalid_reference"])
    }

    @Test("The length of an alphanumeric code is checked after trimming")
    func alphanumericCodeLength() {
        #expect(parsed("   ") { $0.alphanumericCode() } == nil)
        #expect(parsed(" abc ") { $0.alphanumericCode(bytes: 3...3) } == "ABC")
        #expect(parsed("abcd") { $0.alphanumericCode(bytes: 3...3) } == nil)
    }

    @Test("Normalized values stay the same when read again")
    func stable() throws {
        for (value, read) in [
            (" Ada@Example.org ", { $0.email() }), ("9B2F6A3E-0C1D-4E5F-8A9B-0C1D2E3F4A5B", { $0.uuid() }),
            (" +4930123456", { $0.phone() }), (" po-17 ", { $0.alphanumericCode() }),
        ] as [(String, (JSONReader) -> JSONField<String>)] {
            let once = try #require(parsed(value, read))
            #expect(parsed(once, read) == once)
        }
    }

    @Test("Text may have line breaks and tabs but no other control characters")
    func text() {
        #expect(parsed(#"a\nb\tc\r\nd"#) { $0.text(bytes: 0...99) } == "a\nb\tc\r\nd")
        #expect(parsed("a\u{2028}b") { $0.text(bytes: 0...99) } == "a\u{2028}b")
        #expect(parsed(#"\n a \r\n"#) { $0.text(bytes: 0...99, normalized: .trimmed) } == "a")
        for control in [#"\u0001"#, #"\u001b"#, #"\u007f"#, #"\u0085"#, #"\u009b"#] {
            #expect(parsed("a\(control)") { $0.text(bytes: 0...99) } == nil)
        }
    }

    @Test("A line rejects the line and paragraph separators but not their neighbors")
    func separators() {
        #expect(parsed("\u{2027}\u{202F}\u{A0}\u{A9}€") { $0.string(bytes: 0...99) } != nil)
        #expect(parsed("\u{2028}") { $0.string(bytes: 0...99) } == nil)
        #expect(parsed("\u{2029}") { $0.string(bytes: 0...99) } == nil)
    }

    /// The characters that are invisible or reorder others.
    static let invisible: [ClosedRange<UInt32>] = [
        0x01...0x1F, 0x7F...0x9F, 0xAD...0xAD, 0x61C...0x61C, 0x115F...0x1160, 0x180E...0x180E, 0x200B...0x200F,
        0x2028...0x202E, 0x2060...0x206F, 0x3164...0x3164, 0xFEFF...0xFEFF, 0xFFA0...0xFFA0, 0xFFF9...0xFFFB,
        0x1D173...0x1D17A, 0xE0000...0xE007F, 0xE0FFF...0xE0FFF,
    ]

    @Test("A line rejects characters that are invisible or reorder others", arguments: invisible)
    func lineRejectsInvisible(_ values: ClosedRange<UInt32>) throws {
        for value in values {
            let scalar = try #require(Unicode.Scalar(value))
            let units = String(scalar).utf16.map { unit in
                let digits = String(unit, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
            let escaped = units.joined()
            for text in ["\"\(escaped)\"", "\"a\(escaped)b\"", "\"a\(escaped)\""] {
                for normalization in [[], Normalization.trimmed] {
                    #expect(
                        issues(text) { try $0.string(bytes: 1...99, normalized: normalization).value }
                            == [" validation.control_character"],
                        "U+\(String(value, radix: 16))"
                    )
                }
            }
        }
    }

    @Test(
        "A line rejects variation selectors in unsuitable places",
        arguments: [
            "ad\u{FE0F}min", "ad\u{FE0E}min", "\u{FE0F}", "\u{FE0E}", " \u{FE0F} ", "a\u{FE0F}", "é\u{FE0F}",
            "❤\u{FE0F}\u{FE0F}", "❤ \u{FE0F}", "❤\u{FE00}", "1\u{FE0F}", "1\u{FE0F}2", "#\u{FE0E}a", "葛\u{FE0F}",
            "a\u{E0100}", "\u{E0100}", "❤\u{E01EF}", "葛\u{E0100}\u{E0101}", "❤\u{FE0F}\u{E0141}", "か\u{E0100}",
            "\u{1820}\u{180B}", "\u{180F}", "a\u{FE00}",
        ]
    )
    func lineRejectsVariationSelectors(_ value: String) {
        for normalization in [[], Normalization.trimmed] {
            #expect(
                issues("\"\(value)\"") { try $0.string(bytes: 1...99, normalized: normalization).value }
                    == [" validation.control_character"]
            )
        }
    }

    @Test(
        "A line accepts the letters, marks and signs of every script",
        arguments: [
            "Zoë Müller-Lüdenscheidt", "Нина Ковалёва", "Ελένη", "岡﨑 雄一", "葛\u{E0100}城", "김민준", "علي رضا", "राधिका",
            "O’Brien",
            "e\u{301}", "❤\u{FE0F}", "❤\u{FE0E} ❤", "1\u{FE0F}\u{20E3}", "ℹ\u{FE0F}", "😀", "½ €", "\u{A0}a",
            "a\u{3000}b", "\u{2003}", "\u{2800}",
        ]
    )
    func lineAcceptsScripts(_ value: String) {
        #expect(parsed(value) { $0.string(bytes: 1...99) } == value)
    }

    static let spaces = [
        " ", "\u{A0}", "\u{1680}", "\u{2000}", "\u{2003}", "\u{200A}", "\u{202F}", "\u{205F}", "\u{3000}",
    ]

    @Test("Trimming removes all Unicode white space before the length is checked", arguments: spaces)
    func trims(_ space: String) {
        for text in ["\(space)a\(space)", "\(space)\(space)a", "a\(space) \(space)"] {
            #expect(parsed(text) { $0.string(bytes: 1...99, normalized: .trimmed) } == "a")
            #expect(parsed(text) { $0.text(bytes: 1...99, normalized: .trimmed) } == "a")
        }
        #expect(parsed("a\(space)b") { $0.string(bytes: 1...99, normalized: .trimmed) } == "a\(space)b")
        for text in [space, "\(space) \(space)"] {
            for found in [
                issues("\"\(text)\"") { try $0.string(bytes: 1...99, normalized: .trimmed).value },
                issues("\"\(text)\"") { try $0.text(bytes: 1...99, normalized: .trimmed).value },
            ] { #expect(found == [" validation.too_short"]) }
            #expect(parsed(text) { $0.string(bytes: 0...99, normalized: .trimmed) } == "")
            #expect(parsed(text) { $0.string(bytes: 1...99) } == text)
        }
    }

    @Test(
        "A text without visible characters is empty after trimming",
        arguments: [
            "\u{200B}", "\u{FEFF}", "\u{2028}\u{200B}\u{A0}", "\u{E0041}", "\u{3164}", "\\n\\t\u{200D}", "\u{FE0F}",
            "\u{FE0E} \u{E0100}",
        ]
    )
    func trimsTheInvisible(_ value: String) {
        #expect(
            issues("\"\(value)\"") { try $0.text(bytes: 1...99, normalized: .trimmed).value }
                == [" validation.too_short"]
        )
        #expect(parsed(value + "a") { $0.text(bytes: 1...99, normalized: .trimmed) } != nil)
    }

    @Test(
        "A text may have joiners and direction marks, even at its end",
        arguments: [
            "علی\u{200C}رضا", "👨\u{200D}👩\u{200D}👧", "\u{1F3F4}\u{E0067}\u{E0062}\u{E007F}", "\u{200F}שלום\u{200E}",
        ]
    )
    func textAcceptsJoiners(_ value: String) {
        #expect(parsed(value) { $0.text(bytes: 1...99, normalized: .trimmed) } == value)
    }
}

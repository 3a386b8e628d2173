import ReliabilityCore
import Testing
import Validation

@Suite struct FormatTests {
    private func parsed(_ value: String, _ read: (JSONReader) -> Field<String>) -> String? {
        try? Validator().parse("\"\(value)\"".utf8) { try read($0).value }
    }

    @Test(arguments: [
        ("ada@example.org", "ada@example.org"), ("A.B+tag@Sub.Example.ORG", "a.b+tag@sub.example.org"),
        ("  ada@example.org  ", "ada@example.org"), ("!#$%&'*+-/=?^_`{|}~@x.yz", "!#$%&'*+-/=?^_`{|}~@x.yz"),
        ("a@1.2.x", "a@1.2.x"), ("a@x-y.z9", "a@x-y.z9"), ("1@1.io", "1@1.io"),
    ])
    func acceptsEmail(_ value: String, _ normal: String) {
        #expect(parsed(value) { $0.email() } == normal)
    }

    @Test(arguments: [
        "", " ", "ada", "@", "ada@", "@example.org", "ada@example", "ada@@example.org", "a@b@example.org",
        ".ada@example.org", "ada.@example.org", "a..b@example.org", "a b@example.org", "ada@ example.org",
        "ada@example..org", "ada@.example.org", "ada@example.org.", "ada@-example.org", "ada@example-.org",
        "ada@exam_ple.org", "ada@example.123", "ada@127.0.0.1", "ada@[127.0.0.1]", "ada@example.org,b@example.org",
        "<ada@example.org>", "ada@example.org;", "adä@example.org", "ada@exämple.org", "../../etc/passwd",
        "(c)ada@example.org", "ada(c)@example.org", "a:b@example.org",
    ])
    func refusesEmail(_ value: String) {
        #expect(parsed(value) { $0.email() } == nil)
    }

    @Test func emailLengthsAreExact() {
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

    @Test(arguments: [
        "9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b", "9B2F6A3E-0C1D-4E5F-8A9B-0C1D2E3F4A5B",
        "00000000-0000-0000-0000-000000000000",
    ])
    func acceptsUUID(_ value: String) {
        #expect(parsed(value) { $0.uuid() } == value.lowercased())
    }

    @Test(arguments: [
        "", "9b2f6a3e0c1d4e5f8a9b0c1d2e3f4a5b", "{9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b}",
        "9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5", "9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b0",
        "9b2f6a3g-0c1d-4e5f-8a9b-0c1d2e3f4a5b", "9b2f6a3e_0c1d-4e5f-8a9b-0c1d2e3f4a5b",
        "9b2f6a3-e0c1d-4e5f-8a9b-0c1d2e3f4a5b", " 9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b",
        "urn:uuid:9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b",
    ])
    func refusesUUID(_ value: String) {
        #expect(parsed(value) { $0.uuid() } == nil)
    }

    @Test(arguments: ["+1234567", "+123456789012345", "+4930123456"])
    func acceptsPhone(_ value: String) {
        #expect(parsed(value) { $0.phone() } == value)
        #expect(parsed(" \(value) ") { $0.phone() } == value)
    }

    @Test(arguments: [
        "", "+", "1234567", "+123456", "+1234567890123456", "+0123456789", "004930123456", "+49 30 123456",
        "+49-30-123456", "+49(30)123456", "++4930123456", "+4930123456x1",
    ])
    func refusesPhone(_ value: String) {
        #expect(parsed(value) { $0.phone() } == nil)
    }

    @Test(arguments: ["", "eur", "Eur", "EURO", "EU", "E1R", " EUR", "EUR ", "€"])
    func refusesCurrency(_ value: String) {
        #expect(parsed(value) { $0.currency() } == nil)
    }

    @Test func aCurrencyMustBeAccepted() {
        #expect(parsed("EUR") { $0.currency(among: ["EUR"]) } == "EUR")
        #expect(parsed("XYZ") { $0.currency() } == "XYZ")
        #expect(problems("\"XYZ\"") { try $0.currency(among: ["EUR"]).value } == [" validation.unknown_currency"])
    }

    @Test(arguments: [("po-17", "PO-17"), ("  a b/c_1.2  ", "A B/C_1.2"), ("~{}", "~{}"), ("@[`", "@[`")])
    func aReferenceIsTrimmedAndInCapitals(_ value: String, _ normal: String) {
        #expect(parsed(value) { $0.reference() } == normal)
    }

    @Test func aReferenceHasALengthAfterTrimming() {
        #expect(parsed("   ") { $0.reference() } == nil)
        #expect(parsed(" abc ") { $0.reference(bytes: 3...3) } == "ABC")
        #expect(parsed("abcd") { $0.reference(bytes: 3...3) } == nil)
    }

    @Test func normalFormsAreStable() throws {
        for (value, read) in [
            (" Ada@Example.org ", { $0.email() }), ("9B2F6A3E-0C1D-4E5F-8A9B-0C1D2E3F4A5B", { $0.uuid() }),
            (" +4930123456", { $0.phone() }), (" po-17 ", { $0.reference() }),
        ] as [(String, (JSONReader) -> Field<String>)] {
            let once = try #require(parsed(value, read))
            #expect(parsed(once, read) == once)
        }
    }

    @Test func textMayHaveLinesButNoOtherControls() {
        #expect(parsed(#"a\nb\tc\r\nd"#) { $0.text(bytes: 0...99) } == "a\nb\tc\r\nd")
        #expect(parsed("a\u{2028}b") { $0.text(bytes: 0...99) } == "a\u{2028}b")
        #expect(parsed(#"\n a \r\n"#) { $0.text(bytes: 0...99, normalized: .trimmed) } == "a")
        for control in [#"\u0001"#, #"\u001b"#, #"\u007f"#, #"\u0085"#, #"\u009b"#] {
            #expect(parsed("a\(control)") { $0.text(bytes: 0...99) } == nil)
        }
    }

    @Test func lineRefusesTheSeparatorsButNotTheirNeighbours() {
        #expect(parsed("\u{2027}\u{202A}\u{A0}\u{A9}€") { $0.string(bytes: 0...99) } != nil)
        #expect(parsed("\u{2028}") { $0.string(bytes: 0...99) } == nil)
        #expect(parsed("\u{2029}") { $0.string(bytes: 0...99) } == nil)
    }
}

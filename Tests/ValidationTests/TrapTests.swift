import ReliabilityCore
import Testing
import Validation

@Suite("Known ways around validators")
struct TrapTests {
    // Bytes.

    @Test(
        "Duplicate keys are rejected after unescaping",
        arguments: [
            (#"{"a":1,"a":2}"#, "/a"), (#"{"a":1,"\u0061":2}"#, "/a"), (#"{"\u0061":1,"b":0,"a":2}"#, "/a"),
            (#"{"x":[{},{"é":1,"\u00e9":1}]}"#, "/x/1/é"), (#"{"":1,"":2}"#, "/"),
            (#"{"a":{"b":1},"c":{"b":1,"d":1,"b":1}}"#, "/c/b"), (#"{"b":1,"a":1,"c":1,"a":1,"b":1}"#, "/a"),
            (#"{"/":1,"\/":2}"#, "/~1"),
            (#"{"z":1,"y":1,"x":1,"b":1,"a":1,"c":1,"w":1,"v":1,"u":1,"a":1,"b":1}"#, "/a"),
        ]
    )
    func duplicateKey(_ body: String, _ pointer: String) {
        let error = rejection(of: body.utf8, by: Validator(.init(unknownKeys: .ignore))) { _ in () }
        #expect(error?.details.map(\.code) == ["validation.duplicate_key"])
        #expect(error?.details.map(\.pointer) == [pointer])
    }

    @Test("Keys are compared by bytes and not by Unicode equivalence")
    func keyEquivalence() {
        let body = "{\"\u{E9}\":1,\"e\u{301}\":2}"
        let found = issues(body) { try $0.integer("\u{E9}", in: 0...9).value }
        #expect(found == ["/e\u{301} validation.unknown_field"])
        // The two pointers would be equal as strings.
        let pointer = rejection(of: body.utf8) { try $0.integer("\u{E9}", in: 0...9).value }?.details.first?.pointer
        #expect(pointer.map { Array($0.utf8) } == Array("/e\u{301}".utf8))
        #expect(
            issues("{\"e\u{301}\":1}", by: Validator(.init(unknownKeys: .ignore))) {
                try $0.integer("\u{E9}", in: 0...9).value
            } == ["/\u{E9} validation.required"]
        )
    }

    @Test("Choices are compared by bytes and not by Unicode equivalence")
    func choiceEquivalence() {
        enum Place: String, CaseIterable { case cafe = "caf\u{E9}", bar }
        #expect(issues("\"caf\u{E9}\"") { try $0.choice(of: Place.self).value } == [])
        #expect(issues("\"cafe\u{301}\"") { try $0.choice(of: Place.self).value } == [" validation.unknown_choice"])
        #expect(issues("\"Bar\"") { try $0.choice(of: Place.self).value } == [" validation.unknown_choice"])
    }

    @Test("The length of a string is counted in bytes and not in characters")
    func lengthInBytes() {
        let zalgo = "\"a" + String(repeating: "\u{301}", count: 1000) + "\""
        #expect(issues(zalgo) { try $0.string(bytes: 1...100).value } == [" validation.too_long"])
    }

    // Numbers.

    @Test(
        "An integer with a fraction or exponent is rejected",
        arguments: ["1.0", "1e2", "1E2", "1e0", "10e-1", "0.0", "-0.0", "1.5", "100000000000000000000.0"]
    )
    func integerNotation(_ number: String) {
        let found = issues(number) { try $0.integer(in: Int64.min...Int64.max).value }
        #expect(found == [" validation.not_an_integer"])
    }

    @Test(
        "Integers up to 64 bits are read exactly",
        arguments: [Int64.max, Int64.min, 9_007_199_254_740_993, -9_007_199_254_740_993, 0]
    )
    func exactInteger(_ number: Int64) throws {
        let parsed = try Validator().parse("\(number)".utf8) { try $0.integer(in: Int64.min...Int64.max).value }
        #expect(parsed == number)
    }

    @Test(
        "Integers beyond 64 bits are rejected",
        arguments: [
            ("9223372036854775808", "validation.too_large"), ("-9223372036854775809", "validation.too_small"),
            ("10000000000000000999", "validation.too_large"), ("-99999999999999999999999999", "validation.too_small"),
        ]
    )
    func integerOverflow(_ number: String, _ code: ErrorCode) {
        let error = rejection(of: number.utf8) { try $0.integer(in: Int64.min...Int64.max).value }
        #expect(error?.details.map(\.code) == [code])
    }

    @Test("The extremes of every integer type are read exactly")
    func integerTypes() throws {
        func read<Value: FixedWidthInteger>(_ value: Value) throws -> Value {
            try Validator().parse("\(value)".utf8) { try $0.integer(in: Value.min...Value.max).value }
        }
        #expect(try read(UInt64.max) == .max)
        #expect(try read(Int8.min) == .min)
        #expect(try read(Int128.min) == .min)
        #expect(try read(Int128.max) == .max)
        #expect(issues("\(UInt128.max)") { try $0.integer(in: Int128.min...Int128.max).value } != [])
    }

    @Test(
        "Integers beyond a small type are rejected without overflow",
        arguments: [("256", "validation.too_large"), ("-1", "validation.too_small"), ("300", "validation.too_large")]
    )
    func smallInteger(_ number: String, _ code: ErrorCode) {
        let error = rejection(of: number.utf8) { try $0.integer(in: UInt8.min...UInt8.max).value }
        #expect(error?.details.map(\.code) == [code])
    }

    @Test(
        "Numbers beyond the range of Double are rejected",
        arguments: ["1e400", "1e999999999", "123456789e999"]
    )
    func beyondDouble(_ number: String) {
        #expect(issues(number) { try $0.number(in: -.infinity ... .infinity).value } == [" validation.too_large"])
        #expect(
            issues("-" + number) { try $0.number(in: -.infinity ... .infinity).value } == [" validation.too_small"]
        )
    }

    @Test(
        "Values of other types are not converted to numbers",
        arguments: ["\"5\"", "\"nan\"", "\"0x10\"", "true", "null", "[1]"]
    )
    func noConversion(_ value: String) {
        #expect(issues(value) { try $0.integer(in: 0...9).value }.first == " validation.wrong_type")
        #expect(issues(value) { try $0.number(in: 0...9).value }.first == " validation.wrong_type")
    }

    // Text.

    static let formats: [(name: String, valid: String, read: @Sendable (JSONReader) throws -> String)] = [
        ("email", "ada@example.org", { try $0.email().value }),
        ("uuid", "9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b", { try $0.uuid().value }),
        ("phone", "+4930123456", { try $0.phone().value }),
        ("currency", "EUR", { try $0.currency().value }),
        ("reference", "PO-2024/117", { try $0.alphanumericCode().value }),
        ("string", "one line", { try $0.string(bytes: 1...100, normalized: .trimmed).value }),
    ]

    @Test(
        "Every format rejects control characters and line separators",
        arguments: formats.indices
    )
    func lineBreaks(_ index: Int) throws {
        let format = Self.formats[index]
        #expect(try Validator().parse("\"\(format.valid)\"".utf8, as: format.read) == format.valid)
        // The parser rejects NUL.
        #expect(issues("\"\(format.valid)\\u0000\"", format.read) == [" validation.null_character"])
        let evil = ["\n", "\r", "\r\n", "\t", "\u{B}", "\u{1B}", "\u{7F}", "\u{85}", "\u{9F}", "\u{2028}", "\u{2029}"]
        for character in evil {
            var escaped = ""
            for unit in character.utf16 {
                let digits = String(unit, radix: 16)
                escaped += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
            for value in [format.valid + escaped, escaped + format.valid, "\(format.valid)\(escaped)Set-Cookie: a=b"] {
                #expect(issues("\"\(value)\"", format.read).count == 1, "\(format.name): \(value)")
            }
        }
    }

    @Test(
        "Every format rejects lookalike and invisible characters",
        arguments: formats.indices.dropLast()
    )
    func lookalikes(_ index: Int) {
        let format = Self.formats[index]
        let evil = [
            "\u{FEFF}", "\u{200B}", "\u{202E}", "\u{301}", "\u{212A}", "\u{FF11}", "\u{661}", "\u{A0}", "ß", "ſ", "é",
        ]
        for character in evil {
            for value in [
                format.valid + character, character + format.valid, String(format.valid.dropLast()) + character,
            ] {
                #expect(issues("\"\(value)\"", format.read).count == 1, "\(format.name): \(value)")
            }
        }
    }

    @Test("The Kelvin sign is not folded into an ASCII address")
    func kelvinSign() {
        #expect(issues("\"\u{212A}@example.org\"") { try $0.email().value } == [" validation.invalid_email"])
    }

    @Test("A control character is found before any following scalar")
    func controlBeforeScalar() {
        // Swift's "\r\n" and "\n" + combining mark are single characters that `contains("\n")` does not find.
        for follower in ["", "a", "\\n", "\u{301}", "\u{200D}", "😀"] {
            #expect(
                issues("\"a\\r\(follower)b\"") { try $0.string(bytes: 1...99).value }
                    == [" validation.control_character"]
            )
        }
    }

    @Test("Normalization changes only ASCII letters")
    func asciiNormalization() throws {
        let text = "\"\u{212A}ſßÉ aZ\""
        let lower = try Validator().parse(text.utf8) { try $0.string(bytes: 1...99, normalized: .lowercased).value }
        #expect(Array(lower.utf8) == Array("\u{212A}ſßÉ az".utf8))
        let upper = try Validator().parse(text.utf8) { try $0.string(bytes: 1...99, normalized: .uppercased).value }
        #expect(Array(upper.utf8) == Array("\u{212A}ſßÉ AZ".utf8))
    }

    // Messages for the client.

    @Test("No message contains a rejected value")
    func noEcho() {
        let secret = "s3cret-hunter2"
        let bodies = [
            #"{"email":"\#(secret)","n":"\#(secret)","c":"\#(secret)","u":"\#(secret)","x":{"y":"\#(secret)"}}"#,
            #"{"email":"\#(secret)"#, #"{"email":"\#(secret)" "\#(secret)"}"#, "\(secret)",
        ]
        for body in bodies {
            let error = rejection(of: body.utf8) { reader in
                _ = reader.email("email")
                _ = reader.integer("n", in: 0...9)
                _ = reader.currency("c")
                _ = reader.uuid("u")
            }
            let texts =
                [error?.description ?? secret, error?.message ?? secret] + (error?.details.map(\.message) ?? [])
            #expect(!texts.contains { $0.contains(secret) }, "\(texts)")
        }
    }

    @Test("The description is a single line for every key")
    func oneLine() {
        let error = rejection(of: #"{"a\r\nb\u202e":1}"#.utf8) { try $0.object { $0.isNull }.value }
        #expect(
            error?.description
                == #"validation.failed: "/a\r\nb\u202e" validation.unknown_field"#
                .replacing("\\r", with: "\\u000d").replacing("\\n", with: "\\u000a")
        )
    }
}

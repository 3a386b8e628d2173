import ReliabilityCore
import Testing

@testable import Validation

@Suite("Canonical form")
struct CanonicalTests {
    private func canonical(_ body: String, configuration: Validator.Configuration = .standard) throws -> String {
        String(decoding: try Validator(configuration).parse(body.utf8) { $0.canonicalBytes() }, as: UTF8.self)
    }

    @Test("The example of RFC 8785, section 3.2, is reproduced")
    func example() throws {
        let body = #"""
            {
              "numbers": [333333333.33333329, 1E30, 4.50,
                          2e-3, 0.000000000000000000000000001],
              "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
              "literals": [null, true, false]
            }
            """#
        #expect(
            try canonical(body)
                == #"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#
                + #""string":"€$\u000f\nA'B\"\\\\\"/"}"#
        )
    }

    @Test("Keys are sorted by UTF-16 code units, as in RFC 8785, section 3.2.3")
    func keys() throws {
        let body = #"""
            {"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
             "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}
            """#
        #expect(
            try canonical(body)
                == "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\","
                + "\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\","
                + "\"\u{FB33}\":\"Hebrew Letter Dalet With Dagesh\"}"
        )
    }

    @Test("Keys of random scalars are in UTF-16 order", arguments: 0..<20)
    func randomKeys(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let scalars: [Unicode.Scalar] = [
            "a", "b", "\u{7F}", "é", "\u{D7FF}", "\u{E000}", "\u{FFFD}", "\u{10000}", "😀", "\u{10FFFF}",
        ]
        let keys = Set(
            (0..<200).map { _ in
                (0..<Int.random(in: 0...4, using: &generator)).map { _ in generator.pick(scalars) }
            }
        ).map { String(String.UnicodeScalarView($0)) }
        let sorted = keys.sorted { $0.utf16.lexicographicallyPrecedes($1.utf16) }
        let form = try canonical("{\(keys.map { "\"\($0)\":0" }.joined(separator: ","))}")
        #expect(
            Array(form.utf8) == Array("{\(sorted.map { "\"\($0)\":0" }.joined(separator: ","))}".utf8),
            "seed \(seed)"
        )
    }

    @Test(
        "Two notations of the same body have the same form",
        arguments: [
            (#"{"b":1,"a":{"d":[1,2],"c":"x"}}"#, #" { "a" : {"c":"\u0078", "d":[ 1,2.0 ]},"b":1e0 } "#),
            (#"["\/é\u00e9"]"#, #"["/\u00E9é"]"#), ("0", "-0"), ("0", "-0.0"), ("0", "0e9"), ("100", "1e2"),
            ("1.5", "15E-1"),
            (#"{"":1,"a":2}"#, #"{"a":2,"":1}"#), ("1e21", "1000000000000000000000.0"),
            ("1e21", "1000000000000000000000"),
        ]
    )
    func same(_ first: String, _ second: String) throws {
        #expect(try canonical(first) == canonical(second))
    }

    @Test(
        "Different bodies have different forms",
        arguments: [
            ("[1,2]", "[2,1]"), ("1", "\"1\""), ("null", "\"null\""), ("{}", "[]"), ("[[]]", "[]"), ("[1]", "[1,1]"),
            (#"{"a":null}"#, "{}"), (#"{"a":1,"b":2}"#, #"{"a":2,"b":1}"#), (#"{"a":{"b":1}}"#, #"{"a":1,"b":1}"#),
            ("\"\u{E9}\"", "\"e\u{301}\""), (#""a\"""#, #""a""#), ("0.1", "0.10000000000000002"),
            ("9007199254740992", "9007199254740993"), ("295147905179352825856", "295147905179352830000"),
            ("1000000000000000000000", "1000000000000000000001"), ("1e400", "1e401"), ("1e400", "-1e400"),
        ]
    )
    func different(_ first: String, _ second: String) throws {
        let forms = try (canonical(first), canonical(second))
        #expect(Array(forms.0.utf8) != Array(forms.1.utf8))
    }

    // Bits and texts as RFC 8785 lists them in appendix B, and the edges of each notation.
    @Test(
        "Numbers are written as in ECMAScript",
        arguments: [
            (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"), (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"), (0x7FEF_FFFF_FFFF_FFFF, "1.7976931348623157e+308"),
            (0xFFEF_FFFF_FFFF_FFFF, "-1.7976931348623157e+308"), (0x4340_0000_0000_0000, "9007199254740992"),
            (0xC340_0000_0000_0000, "-9007199254740992"), (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44B5_2D02_C7E1_4AF5, "9.999999999999997e+22"), (0x44B5_2D02_C7E1_4AF6, "1e+23"),
            (0x44B5_2D02_C7E1_4AF7, "1.0000000000000001e+23"), (0x444B_1AE4_D6E2_EF4E, "999999999999999700000"),
            (0x444B_1AE4_D6E2_EF4F, "999999999999999900000"), (0x444B_1AE4_D6E2_EF50, "1e+21"),
            (0x3EB0_C6F7_A0B5_ED8C, "9.999999999999997e-7"), (0x3EB0_C6F7_A0B5_ED8D, "0.000001"),
            (0x41B3_DE43_5555_5553, "333333333.3333332"), (0x41B3_DE43_5555_5554, "333333333.33333325"),
            (0x41B3_DE43_5555_5555, "333333333.3333333"), (0x41B3_DE43_5555_5556, "333333333.3333334"),
            (0x41B3_DE43_5555_5557, "333333333.33333343"), (0xBECB_F647_612F_3696, "-0.0000033333333333333333"),
            (0x4314_3FF3_C1CB_0959, "1424953923781206.2"),
        ] as [(UInt64, String)]
    )
    func numbers(_ bits: UInt64, _ text: String) {
        var output: [UInt8] = []
        CanonicalNumber.append(Double(bitPattern: bits), to: &output)
        #expect(String(decoding: output, as: UTF8.self) == text)
    }

    @Test(
        "The text of a number becomes its canonical form",
        arguments: [
            ("1", "1"), ("-1", "-1"), ("10", "10"), ("1.0", "1"), ("1e-6", "0.000001"), ("1e-7", "1e-7"),
            ("12e-8", "1.2e-7"),
            ("1e20", "100000000000000000000"), ("1e21", "1e+21"), ("12345e20", "1.2345e+24"), ("0.5e1", "5"),
            ("123456789.125", "123456789.125"), ("1e-400", "0"), ("-1e-400", "0"), ("1E400", "1E400"),
            ("-1e400", "-1e400"),
            ("9007199254740993", "9007199254740993"), ("9007199254740993.0", "9007199254740992"),
            ("123456789012345678901", "123456789012345678901"), ("-10000000000000000000000", "-1e+22"),
            ("12345678901234567890123", "12345678901234567890123"), ("1000000000000000000000000", "1e+24"),
            ("1000000000000000000000001", "1000000000000000000000001"), ("0.1000000000000000055", "0.1"),
        ]
    )
    func texts(_ text: String, _ form: String) throws {
        #expect(try canonical(text) == form)
    }

    @Test("The canonical form of a number is stable and has the same value", arguments: 0..<20)
    func stable(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let value = Double(bitPattern: generator.next())
            guard value.isFinite else { continue }
            var form: [UInt8] = []
            CanonicalNumber.append(value, to: &form)
            let text = String(decoding: form, as: UTF8.self)
            #expect(Double(text) == value, "seed \(seed): \(text)")
            #expect(try canonical(text) == text, "seed \(seed)")
        }
    }

    @Test("A part of the body has its own canonical form")
    func part() throws {
        let form = try Validator().parse(#"{"o":{"b":1,"a":[2]},"n":null}"#.utf8) { json in
            _ = json.nullable("n")
            return try json.object("o") { object in
                _ = (object.optional("a"), object.optional("b"))
                return object.canonicalBytes()
            }.value
        }
        #expect(String(decoding: form, as: UTF8.self) == #"{"a":[2],"b":1}"#)
    }

    @Test("Taking the canonical form makes no member known or unknown")
    func knowledge() {
        #expect(issues(#"{"a":1,"b":2}"#) { $0.canonicalBytes() } == [])
        #expect(
            issues(#"{"a":1,"b":2}"#) { json in
                _ = json.integer("a", in: 0...9)
                return json.canonicalBytes()
            } == ["/b validation.unknown_field"]
        )
        #expect(issues("5") { $0.optional("a")?.canonicalBytes() } == [" validation.wrong_type"])
    }

    @Test("The deepest and the widest document have a canonical form")
    func large() throws {
        let deep = String(repeating: "[{\"a\":", count: 512) + "0" + String(repeating: "}]", count: 512)
        #expect(try canonical(deep, configuration: .init(maxDepth: 1024)) == deep)
        let members = (0..<1000).map { "\"\($0 + 1000)\":\($0)" }
        #expect(
            try canonical("{\(members.reversed().joined(separator: ","))}") == "{\(members.joined(separator: ","))}"
        )
    }
}

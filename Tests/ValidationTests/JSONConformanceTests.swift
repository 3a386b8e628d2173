import ReliabilityCore
import Testing
import Validation

@Suite("Conformance with RFC 8259")
struct JSONConformanceTests {
    @Test(
        "Valid JSON is accepted",
        arguments: [
            "null", "true", "false", "0", "-0", "1", "-1", "10", "1234567890", "0.0", "0.5", "-0.5", "1.25", "1e2",
            "1E2",
            "1e+2", "1e-2", "0e1", "0e+1", "0E-1", "1.5e300", "123456789012345678901234567890", "-1e-99",
            "\"\"", "\"a\"", "\"\u{7F}\"", "\"/\"", #""\/""#, #""\"\\\b\f\n\r\t""#, #""\u0041""#, #""\u00e9""#,
            #""\u00E9""#,
            #""\ud83d\ude00""#, #""\uD83D\uDE00""#, #""\udbff\udfff""#, #""\uffff""#, #""\u2028""#, #""\uFEFF""#,
            "\"é\"", "\"\u{2028}\"", "\"😀\"", "\"\u{FEFF}\"", "\"\u{10FFFF}\"", "\"\u{FFFF}\"", "\"\u{80}\"",
            "[]", "[ ]", "[null]", "[1,2]", "[ 1 , 2 ]", "[[]]", "[[],[]]", "[{}]", "[1,[2,[3]],{}]", "[\"a\",true]",
            "{}", "{ }", "{\"a\":1}", "{ \"a\" : 1 }", "{\"\":1}", "{\"a\":{}}", "{\"a\":[]}", "{\"a\":1,\"b\":2}",
            "{\"a\":{\"a\":1}}", "{\"a\":1,\"A\":2}", "{\"a\":1,\" a\":2}", "{\"é\":1,\"e\u{301}\":2}",
            " 1", "1 ", "\t1\n", "\r\n1\r\n", " [ ] ", "{\n\"a\"\n:\n1\n}",
        ]
    )
    func accepts(_ text: String) {
        #expect(parserCode(text.utf8) == nil)
    }

    @Test(
        "Malformed JSON is rejected",
        arguments: [
            "", " ", "\n", "nul", "nulll", "NULL", "True", "truefalse", "tru", "fals", "undefined", "NaN", "-NaN",
            "Infinity", "-Infinity", "+1", "01", "-01", "00", "-", "--1", "1.", ".5", "-.5", "1.e2", "1e", "1e+", "1E-",
            "1.5e", "e1", "0x1", "1_000", "1,000", "1 2", "1a", "0.1.2", "1e1.5", "1e2e3", "²", "１", "٣",
            "\"", "\"a", "a", "'a'", "\"\\\"", #""\x41""#, #""\a""#, #""\'""#, #""\0""#, #""\u""#, #""\u12""#,
            #""\u12g4""#, #""\U0041""#, #""\u{41}""#, #""\u 041""#, #""\u+041""#, "\"a\nb\"", "\"a\tb\"", "\"a\rb\"",
            "\"\u{1F}\"", "\"a\"b", "\"a\" \"b\"",
            "[", "]", "[1", "[1,", "[,", "[,1]", "[1,]", "[1,,2]", "[1 2]", "[1:2]", "[1}", "[\"a\"", "[}", "[[]",
            "[]]",
            "[1]x", "[1],", "[1][2]", "[,]", "[\"a\" 1]",
            "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}", "{,\"a\":1}", "{\"a\" 1}",
            "{\"a\"::1}", "{\"a\":1 \"b\":2}", "{\"a\":1,,\"b\":2}", "{a:1}", "{'a':1}", "{1:2}", "{null:1}",
            "{\"a\":}",
            "{\"a\"}", "{\"a\",1}", "{\"a\":1]", "{]", "{}{}", "{\"a\":1}}", "{\"a\":1 2}", "{[]:1}", "{\"a\":1:2}",
            "//c\n1", "/*c*/1", "1//c", "#1", "\u{B}1", "\u{C}1", "\u{A0}1", "1\u{2028}", "\u{200B}1", "\0", "1\0",
            "\01",
            "<!DOCTYPE html>", "a=1&b=2",
        ]
    )
    func rejects(_ text: String) {
        #expect(parserCode(text.utf8) == "validation.malformed_json")
    }

    @Test(
        "Invalid UTF-8 is rejected in strings and keys",
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x41], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF],
            [0xE2, 0x82], [0xE2, 0x28, 0xA1], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80],
            [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x9F, 0x98], [0xF0, 0x9F, 0x28, 0x80], [0xF4, 0x90, 0x80, 0x80],
            [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFE], [0xFF],
        ]
    )
    func invalidUTF8(_ bytes: [UInt8]) {
        #expect(parserCode([UInt8(ascii: "\"")] + bytes + [UInt8(ascii: "\"")]) == "validation.invalid_utf8")
        let asKey = Array("{\"".utf8) + bytes + Array("\":1}".utf8)
        #expect(parserCode(asKey) == "validation.invalid_utf8")
    }

    @Test(
        "Lone surrogates are rejected",
        arguments: [
            #""\ud83d""#, #""\ude00""#, #""\ud83d\u0041""#, #""\ud83d\ud83d""#, #""\ud83dx""#, #""\ude00\ud83d""#,
            #"{"\udfff":1}"#, #""\ud800\n""#,
        ]
    )
    func loneSurrogate(_ text: String) {
        #expect(parserCode(text.utf8) == "validation.lone_surrogate")
    }

    @Test(
        "The null character is rejected in strings and keys",
        arguments: ["\"\0\"", #""\u0000""#, #""a\u0000b""#, #"{"\u0000":1}"#, "{\"a\0\":1}"]
    )
    func nullCharacter(_ text: String) {
        #expect(parserCode(text.utf8) == "validation.null_character")
    }

    @Test("Byte order marks are rejected")
    func byteOrderMark() {
        #expect(parserCode([0xEF, 0xBB, 0xBF] + Array("{}".utf8)) == "validation.byte_order_mark")
        #expect(parserCode([0xFE, 0xFF, 0x00, 0x7B, 0x00, 0x7D]) == "validation.malformed_json")
        #expect(parserCode([0x7B, 0x00, 0x7D, 0x00]) == "validation.malformed_json")
    }

}

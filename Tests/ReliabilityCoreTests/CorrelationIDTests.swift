import ReliabilityTesting
import Testing

@testable import ReliabilityCore

@Suite("CorrelationID")
struct CorrelationIDTests {
    @Test("only letters, digits, periods, underscores and hyphens are accepted")
    func bytes() {
        let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-".utf8)
        for byte in UInt8.min..<0x80 {
            let text = "a" + String(decoding: [byte], as: UTF8.self) + "a"
            #expect((CorrelationID(text) != nil) == allowed.contains(byte), "byte \(byte)")
        }
        for text in ["\u{E9}", "a\u{301}", "\u{FF21}", "\u{212A}", "\u{1F602}"] { #expect(CorrelationID(text) == nil) }
    }

    @Test(
        "a text that is not a file name on every system is rejected",
        arguments: [
            ".", "..", "...", ".htaccess", ".a", "a.", "a..", "CON", "con", "nul", "Nul", "NUL.txt", "aux.a.b", "PRN",
            "COM1", "com9", "Com0", "LPT1", "lpt9.log", "CONIN$", "a/b", "../a", "a\\b", "C:a", "a\0b", "~", "*", "a b",
        ]
    )
    func fileNames(_ text: String) {
        #expect(CorrelationID(text) == nil)
    }

    @Test(
        "a period inside the text and a text that only resembles a device name are accepted",
        arguments: [
            "a.b", "1.2.3", "a..b", "console", "con1", "com", "com10", "lpt", "lpta", "nul_", "-a", "_", "a-con",
            "a.nul",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "auxiliary.1",
        ]
    )
    func likelyNames(_ text: String) {
        #expect(CorrelationID(text)?.description == text)
    }

    @Test("1 to 128 bytes are accepted")
    func length() {
        #expect(CorrelationID("") == nil)
        #expect(CorrelationID("a")?.description == "a")
        #expect(CorrelationID(String(repeating: "a", count: 128)) != nil)
        #expect(CorrelationID(String(repeating: "a", count: 129)) == nil)
    }

    @Test("a random ID has 32 hexadecimal digits and is accepted")
    func random() {
        let ids = (0..<1000).map { _ in CorrelationID.random() }
        #expect(Set(ids).count == 1000)
        for id in ids {
            #expect(id.description.utf8.count == 32)
            #expect(id.description.utf8.allSatisfy("0123456789abcdef".utf8.contains))
            #expect(CorrelationID(id.description) == id)
        }
    }

    @Test("the innermost ID applies in the operation and its child tasks, and not outside")
    func scope() async throws {
        let outer = try #require(CorrelationID("outer"))
        let inner = try #require(CorrelationID("inner"))
        #expect(CorrelationID.current == nil)
        await withCorrelationID(outer) {
            #expect(CorrelationID.current == outer)
            await withCorrelationID(inner) {
                #expect(await Task { CorrelationID.current }.value == inner)
            }
            #expect(CorrelationID.current == outer)
        }
        #expect(CorrelationID.current == nil)
    }
}

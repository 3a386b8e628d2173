import ReliabilityTesting
import Testing

@testable import ReliabilityRedis

@Suite("RESPDecoder")
struct RESPDecoderTests {
    private static func encode(_ reply: RedisReply) -> [UInt8] {
        switch reply {
        case .null: Array("$-1\r\n".utf8)
        case .integer(let number): Array(":\(number)\r\n".utf8)
        case .bytes(let bytes): Array("$\(bytes.count)\r\n".utf8) + bytes + [13, 10]
        case .array(let elements): Array("*\(elements.count)\r\n".utf8) + elements.flatMap(encode)
        case .error(let text): Array("-\(text)\r\n".utf8)
        }
    }

    private static func reply(_ random: inout SeededGenerator, depth: Int = 0) -> RedisReply {
        switch Int.random(in: 0..<(depth < 4 ? 6 : 4), using: &random) {
        case 0: .null
        case 1: .integer(Int64.random(in: .min ... .max, using: &random))
        case 2:
            .bytes((0..<Int.random(in: 0..<40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
        case 3: .error("ERR text")
        default: .array((0..<Int.random(in: 0..<5, using: &random)).map { _ in reply(&random, depth: depth + 1) })
        }
    }

    @Test("replies that arrive in any parts are decoded", arguments: 1...50 as ClosedRange<UInt64>)
    func parts(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let replies = (0..<200).map { _ in Self.reply(&random) }
        var rest = replies.flatMap(Self.encode)[...]
        var decoder = RESPDecoder()
        var decoded: [RedisReply] = []
        while !rest.isEmpty {
            let part = rest.prefix(Int.random(in: 1...50, using: &random))
            decoder.append(part)
            rest = rest.dropFirst(part.count)
            while let reply = try decoder.next() { decoded.append(reply) }
        }
        #expect(decoded == replies, "seed \(seed)")
    }

    @Test("a large array that arrives in small parts is decoded in one pass over its bytes")
    func largeArray() throws {
        let element = RedisReply.bytes(Array(repeating: 1, count: 1 << 20))
        let bytes = Self.encode(.array(Array(repeating: element, count: 32)))
        var decoder = RESPDecoder()
        var reply: RedisReply?
        // Decoding again from the beginning in each part would copy 8 GiB.
        for start in stride(from: 0, to: bytes.count, by: 1 << 16) {
            decoder.append(bytes[start..<min(start + 1 << 16, bytes.count)])
            reply = try decoder.next()
        }
        #expect(reply == .array(Array(repeating: element, count: 32)))
    }

    @Test(
        "malformed bytes are rejected",
        arguments: [
            "?\r\n", "\r\n", ":abc\r\n", "$-2\r\n", "$5\r\nabcdefg", "*-2\r\n", "$999999999999\r\n",
            "*999999999999\r\n",
            ":1\rx", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
        ]
    )
    func malformed(text: String) {
        var decoder = RESPDecoder()
        decoder.append(Array(text.utf8))
        #expect(throws: RESPDecoder.Malformed.self) { try decoder.next() }
    }

    @Test("a line without an end is rejected")
    func endlessLine() {
        var decoder = RESPDecoder()
        decoder.append(Array(repeating: UInt8(ascii: "+"), count: 1 << 17))
        #expect(throws: RESPDecoder.Malformed.self) { try decoder.next() }
    }

    @Test("random bytes end in replies or in an error", arguments: 1...50 as ClosedRange<UInt64>)
    func random(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let alphabet = Array("*$+-:_0123456789\r\n\r\n\r\nab".utf8)
        for _ in 0..<100 {
            var decoder = RESPDecoder()
            decoder.append((0..<200).map { _ in alphabet.randomElement(using: &random) ?? 0 })
            var count = 0
            do { while try decoder.next() != nil { count += 1 } } catch {}
            #expect(count <= 200)
        }
    }

    @Test(
        "a number of 64 bits is decoded exactly, and other digits are no number",
        arguments: [
            "0", "-0", "+7", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
            "-9223372036854775809", "92233720368547758070", "", "-", "+", "--1", "1-", "1 ", "0x1", "/", ":",
        ]
    )
    func numbers(text: String) {
        #expect(Int64(decimal: Array(text.utf8)[...]) == Int64(text))
    }

    @Test(
        "the digits of a number are the digits of its description",
        arguments: [0, 9, 10, 15, 16, 12_345, .max, -1, .min]
    )
    func digits(number: Int64) {
        #expect(Array<UInt8>(number) == Array("\(number)".utf8))
        if number >= 0 { #expect(Word.number(Int(number)) == Array("\(number)".utf8)) }
    }

    @Test("a command is an array of strings of bytes")
    func encoder() {
        var bytes: [UInt8] = []
        RESPEncoder.append([Array("SET"), [0, 13, 10], Array(repeating: 7, count: 12)], to: &bytes)
        var expected = Array("*3\r\n$3\r\nSET\r\n$3\r\n".utf8)
        expected += [0, 13, 10, 13, 10]
        expected += Array("$12\r\n".utf8)
        expected += [UInt8](repeating: 7, count: 12)
        expected += [13, 10]
        #expect(bytes == expected)
    }
}

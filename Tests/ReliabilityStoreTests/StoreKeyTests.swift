import ReliabilityTesting
import Testing

@testable import ReliabilityStore

@Suite("StoreKey")
struct StoreKeyTests {
    /// Keys of every length around 23 bytes, many of which differ in one byte, in trailing zeros or in nothing.
    static func encodings(seed: UInt64) -> [[UInt8]] {
        var random = SeededGenerator(seed: seed)
        var all: [[UInt8]] = [
            [], [0], [0, 0], [UInt8](repeating: 0xFF, count: 23), [UInt8](repeating: 0xFF, count: 24),
        ]
        for count in 0...26 {
            all.append([UInt8](repeating: 0, count: count))
            for _ in 0..<12 {
                var bytes = (0..<count).map { _ in [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0 as UInt8
                }
                all.append(bytes)
                if let last = bytes.indices.last { bytes[last] ^= 1 }
                all.append(bytes)
            }
        }
        return all
    }

    @Test("keys have the order, equality and hash of their bytes", arguments: 0..<3 as Range<UInt64>)
    func order(seed: UInt64) {
        let encodings = Self.encodings(seed: seed)
        for left in encodings {
            let leftKey = StoreKey(encoded: left)
            #expect(leftKey.encoded == left)
            #expect(leftKey.byteCount == left.count)
            for right in encodings {
                let rightKey = StoreKey(encoded: right)
                let isBefore = left.lexicographicallyPrecedes(right)
                if (leftKey < rightKey) != isBefore || (leftKey == rightKey) != (left == right) {
                    Issue.record("seed \(seed): \(left) and \(right)")
                }
                if left == right { #expect(leftKey.hashValue == rightKey.hashValue) }
            }
        }
    }

    @Test(
        "a key has exactly its leading components as prefixes",
        arguments: [0, 1, 5, 20, 21, 22, 23, 24, 127, 128, 300]
    )
    func prefix(count: Int) {
        let component = [UInt8](repeating: 1, count: count)
        let key = StoreKey("space", bytes: [component, [2], component])
        #expect(key.hasPrefix(key))
        #expect(key.hasPrefix(StoreKey("space")))
        #expect(key.hasPrefix(StoreKey("space", bytes: [component])))
        #expect(key.hasPrefix(StoreKey("space", bytes: [component, [2]])))
        #expect(!key.hasPrefix(StoreKey("spac")))
        #expect(!key.hasPrefix(StoreKey("space2")))
        #expect(!key.hasPrefix(StoreKey("space", bytes: [component, []])))
        #expect(!key.hasPrefix(StoreKey("space", bytes: [component + [1]])))
        #expect(!key.hasPrefix(StoreKey("space", bytes: [component, [2], component, []])))
        if count > 0 { #expect(!key.hasPrefix(StoreKey("space", bytes: [Array(component.dropLast())]))) }
    }

    @Test("different components give different keys")
    func injection() {
        var random = SeededGenerator(seed: 4)
        // The components have few different bytes, including bytes that look like lengths.
        var lists: Set<[[UInt8]]> = []
        for _ in 0..<5000 {
            lists.insert(
                (0..<Int.random(in: 0...4, using: &random)).map { _ in
                    (0..<Int.random(in: 0...3, using: &random)).map { _ in UInt8.random(in: 0...3, using: &random) }
                }
            )
        }
        for count in [126, 127, 128, 129, 16_383, 16_384] {
            lists.insert([[UInt8](repeating: 0, count: count)])
            lists.insert([[UInt8](repeating: 0, count: count), []])
        }
        #expect(Set(lists.map { StoreKey("s", bytes: $0) }).count == lists.count)
        // Keyspaces are part of the key.
        let keys: Set<StoreKey> = [
            StoreKey("a", "b"), StoreKey("ab"), StoreKey("a", "", "b"), StoreKey("a"), StoreKey("\u{1}"),
            StoreKey("a", ""),
        ]
        #expect(keys.count == 6)
    }

    @Test("the encoding is fixed")
    func golden() {
        #expect(StoreKey("ab", "c", "").encoded == [2, 0x61, 0x62, 1, 0x63, 0])
        let long = [UInt8](repeating: 9, count: 300)
        #expect(StoreKey("k", bytes: [long]).encoded == [1, 0x6B, 0xAC, 0x02] + long)
    }

    @Test("a text component is its UTF-8 bytes")
    func text() {
        #expect(StoreKey("s", "é") == StoreKey("s", bytes: [[0xC3, 0xA9]]))
        #expect(StoreKey("s", "e\u{301}") == StoreKey("s", bytes: [[0x65, 0xCC, 0x81]]))
    }

    @Test("a keyspace of 0 or 65 bytes is rejected")
    func invalidKeyspaces() async {
        await #expect(processExitsWith: .failure) { _ = Keyspace("") }
        await #expect(processExitsWith: .failure) { _ = Keyspace(String(repeating: "k", count: 65)) }
    }
}

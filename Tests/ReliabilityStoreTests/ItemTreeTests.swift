import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import ReliabilityStore

@Suite("ItemTree")
struct ItemTreeTests {
    /// Returns a random key of a kind in which trees make mistakes.
    static func key(_ kind: Int, using random: inout SeededGenerator) -> [UInt8] {
        func bytes(_ count: Int, _ range: ClosedRange<UInt8>) -> [UInt8] {
            (0..<count).map { _ in UInt8.random(in: range, using: &random) }
        }
        switch kind {
        // Short keys of few bytes, so that many keys begin with each other.
        case 0: return bytes(Int.random(in: 0...6, using: &random), 0...2)
        // Long common prefixes, longer than a node stores.
        case 1: return [UInt8](repeating: 7, count: Int.random(in: 40...90, using: &random)) + bytes(2, 0...255)
        // Zeros at the end, which equal the padding of a head.
        case 2: return [1, 2, 3] + [UInt8](repeating: 0, count: Int.random(in: 0...40, using: &random))
        // Two groups with different prefixes.
        case 3: return Array((Bool.random(using: &random) ? "tenant-a/" : "tenant-b/").utf8) + bytes(3, 0...255)
        default: return bytes(Int.random(in: 0...12, using: &random), 0...255)
        }
    }

    private static func keys(_ index: borrowing EntryIndex, from start: [UInt8], afterEqual: Bool) -> [[UInt8]] {
        start.withKeyBytes { start in
            var keys: [[UInt8]] = []
            var cursor = index.cursor(from: start, afterEqual: afterEqual)
            while let item = cursor.item {
                keys.append(item.key.array)
                index.advance(&cursor)
            }
            return keys
        }
    }

    @Test("random changes agree with a sorted array", arguments: 0..<10 as Range<UInt64>)
    func model(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var index = EntryIndex()
        // The keys in order, each with the version of its entry.
        var model: [(key: [UInt8], version: UInt64)] = []
        func position(_ key: [UInt8]) -> Int {
            var low = 0
            var high = model.count
            while low < high {
                let middle = (low + high) / 2
                if model[middle].key.lexicographicallyPrecedes(key) { low = middle + 1 } else { high = middle }
            }
            return low
        }
        // The content grows and shrinks, so that nodes split and merge.
        for step in 0..<2400 {
            let isGrowing = step / 600 % 2 == 0
            let key = Self.key(Int(seed % 5), using: &random)
            let place = position(key)
            let isPresent = place < model.count && model[place].key == key
            let found = index.live(StoreKey(encoded: key), at: 0)
            #expect(found?.version == (isPresent ? model[place].version : nil), "seed \(seed), step \(step)")
            let version = UInt64(step)
            if Int.random(in: 0..<10, using: &random) < (isGrowing ? 8 : 2) {
                index.put(StoreKey(encoded: key), StoredEntry(value: key, version: version, expiresAt: nil))
                if isPresent { model[place].version = version } else { model.insert((key, version), at: place) }
            } else if let victim = model.indices.randomElement(using: &random) {
                index.remove(StoreKey(encoded: model[victim].key))
                model.remove(at: victim)
            }
            #expect(index.count == model.count, "seed \(seed), step \(step)")
            if step % 200 == 0 {
                let start = position(key)
                let sorted = model.map(\.key)
                #expect(Self.keys(index, from: [], afterEqual: false) == sorted, "seed \(seed), step \(step)")
                #expect(Self.keys(index, from: key, afterEqual: false) == Array(sorted[start...]))
                let rest = sorted[start...].filter { $0 != key }
                #expect(Self.keys(index, from: key, afterEqual: true) == rest, "seed \(seed), step \(step)")
            }
        }
        for (key, _) in model { index.remove(StoreKey(encoded: key)) }
        #expect(index.count == 0)
        #expect(index.byteCount == 0)
    }

    @Test("keys that are inserted before a removed range are found", arguments: 0..<10 as Range<UInt64>)
    func removedRange(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var index = EntryIndex()
        func key(_ number: Int) -> StoreKey { StoreKey("test", "\(10_000 + number)") }
        func put(_ number: Int) { index.put(key(number), StoredEntry(value: [], version: 1, expiresAt: nil)) }
        // Rising keys fill nodes completely. The first node then becomes empty before it is merged.
        for number in 500..<900 { put(number) }
        for number in 500..<600 { index.remove(key(number)) }
        for number in (0..<500).shuffled(using: &random) { put(number) }
        let present = Array(0..<500) + Array(600..<900)
        #expect(Self.keys(index, from: [], afterEqual: false) == present.map { key($0).encoded })
        #expect(present.allSatisfy { index.live(key($0), at: 0) != nil })
    }

    @Test("rising and falling keys keep their order", arguments: [true, false])
    func sequences(isRising: Bool) {
        var index = EntryIndex()
        let numbers = isRising ? Array(0..<5000) : (0..<5000).reversed()
        for number in numbers {
            index.put(StoreKey("test", "\(10_000 + number)"), StoredEntry(value: [], version: 1, expiresAt: nil))
        }
        let keys = Self.keys(index, from: [], afterEqual: false)
        #expect(keys == (0..<5000).map { StoreKey("test", "\(10_000 + $0)").encoded })
    }

    @Test("entries expire in the order of their expiries", arguments: 0..<10 as Range<UInt64>)
    func expiry(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var index = EntryIndex()
        var model: [StoreKey: Int64?] = [:]
        var now: Int64 = 0
        for step in 0..<1500 {
            let key = StoreKey("test", "\(Int.random(in: 0..<300, using: &random))")
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<6:
                let expiresAt = Bool.random(using: &random) ? now + .random(in: 1...500, using: &random) : nil
                let value = [UInt8](repeating: 1, count: Int.random(in: 0...3, using: &random))
                index.put(key, StoredEntry(value: value, version: UInt64(step), expiresAt: expiresAt))
                model[key] = .some(expiresAt)
            case 6..<8:
                index.remove(key)
                model[key] = nil
            default:
                now += .random(in: 0...40, using: &random)
                index.reclaim(atMost: .max, at: now * 1_000_000)
                model = model.filter { ($0.value ?? .max) > now }
            }
            #expect(index.count == model.count, "seed \(seed), step \(step)")
            #expect(index.nextExpiry == model.values.compactMap { $0 }.min(), "seed \(seed), step \(step)")
        }
    }
}

import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import ReliabilityCache

@Suite("CacheEntries")
struct CacheEntriesTests {
    private typealias Entries = CacheEntries<Int, Int>

    private func configuration(maxCost: Int = 1000, maxEntries: Int = 1_000_000) -> CacheConfiguration {
        CacheConfiguration(timeToLive: .seconds(1), maxCost: maxCost, maxEntries: maxEntries)
    }

    private func entry(_ value: Int, cost: Int = 10, start: UInt64 = 1, expiry: Int64 = 100) -> CacheEntry<Int> {
        CacheEntry(content: .value(value), start: start, cost: cost, refreshTime: expiry, expiry: expiry)
    }

    @Test("C32: the sum of costs never exceeds maxCost, and the entries never exceed maxEntries", arguments: 0..<8)
    func bounds(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var entries = Entries(configuration(maxCost: 1000, maxEntries: 40))
        var now: Int64 = 0
        var start: UInt64 = 0
        var costs: [Int: Int] = [:]
        for _ in 0..<3000 {
            let key = Int.random(in: 0..<100, using: &random)
            start += 1
            now += Int64.random(in: 0...3, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0: entries.remove(key, .invalidated)
            case 1: _ = entries.entry(key, now: now, isUse: true)
            case 2: entries.tags.invalidate("tag \(key % 5)", at: start)
            default:
                let cost = Int.random(in: 1...300, using: &random)
                let expiry = now + Int64.random(in: -5...200, using: &random)
                let new = entry(key, cost: cost, start: start, expiry: expiry)
                if entries.store(new, for: key, tags: ["tag \(key % 5)"], now: now) == nil { costs[key] = cost }
            }
            for departure in entries.takeDepartures() where departure.cause != nil { costs[departure.key] = nil }
            let isBounded = entries.cost <= 1000 && entries.count <= 40 && entries.rememberedCount <= 41
            // The sum of the costs of the entries that are present.
            let isExact = entries.cost == costs.values.reduce(0, +)
            if !isBounded || !isExact {
                Issue.record("seed \(seed): cost \(entries.cost), \(entries.count) entries")
                return
            }
        }
        // C33: what leaves gives back exactly its cost.
        for key in 0..<100 { entries.remove(key, .invalidated) }
        #expect(entries.cost == 0)
        #expect(entries.count == 0)
        #expect(entries.tags.count == 0)
    }

    @Test("C34: an entry above the bound is not stored, and removes the older entry")
    func tooLarge() {
        var entries = Entries(configuration())
        #expect(isStored(entry(1), for: 0, in: &entries))
        let reason = entries.store(entry(2, cost: 1001, start: 2), for: 0, tags: [], now: 0)
        #expect(reason == .tooLarge)
        #expect(entries.count == 0)
        let huge = entries.store(entry(2, cost: .max, start: 3), for: 0, tags: [], now: 0)
        #expect(huge == .tooLarge)
        #expect(isStored(entry(2, cost: 1000, start: 4), for: 0, in: &entries))
    }

    @Test("C39: expired entries give way before live entries")
    func expiredFirst() {
        var entries = Entries(configuration(maxEntries: 100))
        for key in 0..<100 {
            #expect(isStored(entry(key, cost: 1, expiry: key < 50 ? 10 : 1000), for: key, in: &entries))
        }
        for key in 100..<150 {
            #expect(entries.store(entry(key, cost: 1, expiry: 1000), for: key, tags: [], now: 10) == nil)
        }
        let departures = entries.takeDepartures()
        #expect(departures.count { $0.cause == .expired } == 50)
        #expect(departures.allSatisfy { $0.cause == .expired })
    }

    @Test("C37: a store removes at most two expired entries that it does not need")
    func boundedExpiry() {
        var entries = Entries(configuration(maxCost: 100_000))
        for key in 0..<100 { #expect(isStored(entry(key, expiry: 10), for: key, in: &entries)) }
        _ = entries.takeDepartures()
        _ = entries.store(entry(1, expiry: 1000), for: 100, tags: [], now: 10)
        #expect(entries.takeDepartures().count == 2)
    }

    @Test("a smaller bound after a reload evicts immediately")
    func reload() {
        var entries = Entries(configuration())
        for key in 0..<100 { #expect(isStored(entry(key), for: key, in: &entries)) }
        entries.reload(configuration(maxCost: 95), now: 0)
        #expect(entries.cost == 90)
    }

    @Test("the overhead of an entry is at most 200 bytes besides its key and value")
    func overhead() {
        #expect(CacheEntries<Int, Int>.overhead - 16 <= 200)
    }

    private func isStored(_ entry: CacheEntry<Int>, for key: Int, in entries: inout CacheEntries<Int, Int>) -> Bool {
        entries.store(entry, for: key, tags: [], now: 0) == nil
    }
}

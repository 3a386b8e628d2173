import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import ReliabilityCache

/// A cache of numbers that only counts its hits.
private struct HitCounter {
    var order = EvictionOrder()
    var slots: [Int: Int32] = [:]
    var keys: [Int32: Int] = [:]
    var free: [Int32] = []
    var hits = 0
    let size: Int

    init(size: Int) { self.size = size }

    mutating func read(_ key: Int) {
        if let slot = slots[key] {
            order.use(slot)
            hits += 1
            return
        }
        if order.count == size, let victim = order.nextVictim(maxCost: .max, maxCount: size) {
            order.remove(victim, isRemembered: true)
            if let key = keys.removeValue(forKey: victim) { slots[key] = nil }
            free.append(victim)
        }
        let slot = free.popLast() ?? Int32(slots.count)
        slots[key] = slot
        keys[slot] = key
        order.insert(slot, cost: 1, fingerprint: UInt32(truncatingIfNeeded: key &* 0x9E37_79B9))
    }
}

/// The least recently used eviction, for comparison.
private struct LeastRecentlyUsed {
    var uses: [Int: Int] = [:]
    var keys: [Int] = []
    var oldest = 0
    var hits = 0
    let size: Int

    mutating func read(_ key: Int) {
        if uses[key] != nil {
            hits += 1
        } else if uses.count == size {
            while true {
                let key = keys[oldest]
                oldest += 1
                if uses[key] == oldest - 1 {
                    uses[key] = nil
                    break
                }
            }
        }
        uses[key] = keys.count
        keys.append(key)
    }
}

@Suite("EvictionOrder")
struct EvictionOrderTests {
    /// Keys with a Zipf distribution of an exponent near 1.
    private func zipf(_ count: Int, of keys: Int, seed: UInt64) -> [Int] {
        var random = SeededGenerator(seed: seed)
        let limit = Double(keys)
        // The inverse of the distribution with the density 1 / x.
        return (0..<count).map { _ in
            var power = 1.0
            let bits = Double.random(in: 0..<1, using: &random)
            // limit to the power of bits, in sixteen square roots.
            var (root, rest) = (limit, bits)
            for _ in 0..<24 {
                root = root.squareRoot()
                rest *= 2
                if rest >= 1 {
                    power *= root
                    rest -= 1
                }
            }
            return Int(power) - 1
        }
    }

    @Test("C36: a scan of one-off keys displaces at most the entries of the small queue")
    func scan() {
        var cache = HitCounter(size: 1000)
        for _ in 0..<5 { for key in 0..<900 { cache.read(key) } }
        for key in 10_000..<30_000 { cache.read(key) }
        cache.hits = 0
        for key in 0..<900 { cache.read(key) }
        #expect(cache.hits >= 800)
    }

    @Test("C36: the hit ratio of a mixed trace is at least the ratio of the least recently used eviction")
    func mixedTrace() {
        var trace = zipf(30_000, of: 5000, seed: 1)
        for part in 0..<3 { trace.insert(contentsOf: 10_000..<14_000, at: 7000 + 11_000 * part) }
        for size in [100, 500] {
            var cache = HitCounter(size: size)
            var baseline = LeastRecentlyUsed(size: size)
            for key in trace {
                cache.read(key)
                baseline.read(key)
            }
            #expect(Double(cache.hits) >= 1.05 * Double(baseline.hits))
        }
    }

    @Test("a trace of recent keys has the hit ratio of the least recently used eviction")
    func recency() {
        var cache = HitCounter(size: 500)
        var baseline = LeastRecentlyUsed(size: 500)
        for key in 0..<5000 {
            for _ in 0..<2 {
                cache.read(key)
                baseline.read(key)
            }
        }
        #expect(cache.hits == baseline.hits)
    }

    @Test("C37: a decision ends when every entry was used")
    func everyEntryIsUsed() {
        var order = EvictionOrder()
        for slot in 0..<1000 {
            order.insert(Int32(slot), cost: 1, fingerprint: UInt32(slot))
            for _ in 0..<5 { order.use(Int32(slot)) }
        }
        #expect(order.nextVictim(maxCost: 1000, maxCount: 1000) != nil)
        #expect(order.count == 1000)
    }

    @Test("an empty order has no victim")
    func empty() {
        var order = EvictionOrder()
        #expect(order.nextVictim(maxCost: 1, maxCount: 1) == nil)
        #expect(order.cost == 0)
    }
}

import ReliabilityTesting
import Testing

@testable import ReliabilityCache

@Suite("ExpiryHeap and GhostList")
struct ExpiryHeapTests {
    @Test("the earliest slot comes first after any moves and removals", arguments: 0..<8)
    func order(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var heap = ExpiryHeap()
        var instants: [Int32: Int64] = [:]
        for _ in 0..<2000 {
            let slot = Int32.random(in: 0..<100, using: &random)
            if Int.random(in: 0..<3, using: &random) == 0 {
                heap.remove(slot)
                instants[slot] = nil
            } else {
                let instant = Int64.random(in: 0..<50, using: &random)
                heap.set(slot, at: instant)
                instants[slot] = instant
            }
            let earliest = heap.earliest
            let isRight = earliest?.instant == instants.values.min() && heap.count == instants.count
            if !isRight || earliest.map({ instants[$0.slot] != $0.instant }) == true {
                Issue.record("seed \(seed): \(heap) for \(instants)")
                return
            }
        }
    }

    @Test("C32: the list of left keys keeps the latest fingerprints and no more than its limit", arguments: 0..<8)
    func ghosts(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var list = GhostList()
        var model: [UInt32] = []
        for _ in 0..<3000 {
            let fingerprint = UInt32.random(in: 0..<60, using: &random)
            if Int.random(in: 0..<3, using: &random) == 0 {
                let isPresent = list.remove(fingerprint)
                // The list may have dropped a fingerprint before its limit, but never contains another.
                if isPresent, !model.contains(fingerprint) { Issue.record("seed \(seed): \(fingerprint) is old") }
                model.removeAll { $0 == fingerprint }
            } else {
                list.append(fingerprint, limit: 20)
                model.removeAll { $0 == fingerprint }
                model.append(fingerprint)
                model = model.suffix(20)
                if list.count > 20 { Issue.record("seed \(seed): \(list.count) fingerprints") }
            }
        }
    }
}

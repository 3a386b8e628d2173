import Foundation
import Reliability

/// `HitRatios`: prints the hit ratios of `LoadingCache` beside LRU and the optimum as a Markdown table.
///
/// Each workload is a seeded sequence of keys. LRU evicts the key that was not used for the longest time. The optimum
/// evicts the key whose next use is the latest, which needs knowledge of the future (Bélády 1966).
@main
struct HitRatios {
    static func main() async throws {
        print("| workload | entries | LoadingCache | LRU | optimum |\n|---|---|---|---|---|")
        for workload in Trace.all() {
            for entries in workload.entries {
                let ours = try await hits(workload.keys, entries)
                let lru = leastRecentlyUsedHits(workload.keys, entries)
                let optimum = optimalHits(workload.keys, entries)
                let ratios = [ours, lru, optimum].map { percent($0, of: workload.keys.count) }
                print("| \(workload.name) | \(entries) | \(ratios.joined(separator: " | ")) |")
            }
        }
    }

    private static func percent(_ hits: Int, of count: Int) -> String {
        String(format: "%.1f", 100 * Double(hits) / Double(count))
    }

    /// Returns the hits of a cache whose entries do not expire during the run.
    private static func hits(_ keys: [Int32], _ entries: Int) async throws -> Int {
        var configuration = CacheConfiguration(timeToLive: .seconds(86_400))
        configuration.earlyRefresh = .none
        configuration.maxEntries = entries
        configuration.maxCost = .max
        let cache = LoadingCache<Int32, Int32>(configuration) { $0 }
        for key in keys { _ = try await cache.value(for: key) }
        return Int(cache.snapshot.hits)
    }

    /// Returns the hits of a cache that evicts the key of the oldest use.
    private static func leastRecentlyUsedHits(_ keys: [Int32], _ entries: Int) -> Int {
        var lastUses: [Int32: Int] = [:]
        // The uses in their order. A use that is not the last of its key is skipped.
        var oldest = 0
        var hits = 0
        for (time, key) in keys.enumerated() {
            if lastUses.updateValue(time, forKey: key) != nil {
                hits += 1
            } else if lastUses.count > entries {
                while lastUses[keys[oldest]] != oldest { oldest += 1 }
                lastUses[keys[oldest]] = nil
                oldest += 1
            }
        }
        return hits
    }

    /// Returns the hits of a cache that evicts the key of the latest next use.
    private static func optimalHits(_ keys: [Int32], _ entries: Int) -> Int {
        var nextUses = [Int](repeating: keys.count, count: keys.count)
        var later: [Int32: Int] = [:]
        for time in keys.indices.reversed() {
            nextUses[time] = later.updateValue(time, forKey: keys[time]) ?? keys.count
        }
        var present: [Int32: Int] = [:]
        var order = LatestFirst()
        var hits = 0
        for (time, key) in keys.enumerated() {
            if present[key] != nil { hits += 1 }
            present[key] = nextUses[time]
            order.insert(nextUses[time], key)
            while present.count > entries {
                let (next, candidate) = order.removeFirst()
                if present[candidate] == next { present[candidate] = nil }
            }
        }
        return hits
    }
}

/// A heap of keys, the latest next use first.
private struct LatestFirst {
    private var items: [(next: Int, key: Int32)] = []

    mutating func insert(_ next: Int, _ key: Int32) {
        items.append((next, key))
        var position = items.count - 1
        while position > 0, items[(position - 1) / 2].next < items[position].next {
            items.swapAt(position, (position - 1) / 2)
            position = (position - 1) / 2
        }
    }

    mutating func removeFirst() -> (next: Int, key: Int32) {
        items.swapAt(0, items.count - 1)
        let first = items.removeLast()
        var position = 0
        while true {
            var child = 2 * position + 1
            if child >= items.count { break }
            if child + 1 < items.count, items[child + 1].next > items[child].next { child += 1 }
            if items[child].next <= items[position].next { break }
            items.swapAt(position, child)
            position = child
        }
        return first
    }
}

internal import ReliabilityCore

/// The order in which entries are evicted, as in S3-FIFO.
///
/// A new entry begins in a small queue. An entry that is used at least twice there moves to the main queue. Other
/// entries leave and are remembered for a while by the fingerprints of their keys. A remembered key begins in the main
/// queue. A use changes only the counter of its entry, and moves nothing. See Yang et al., "FIFO Queues are All You Need
/// for Cache Eviction", 2023.
@usableFromInline
struct EvictionOrder: Sendable {
    /// The uses of an entry and its queue.
    struct Standing: Sendable {
        fileprivate var uses: UInt8 = 0
        fileprivate var isMain = false
    }

    private struct Node {
        var newer: Int32 = -1
        var older: Int32 = -1
        var fingerprint: UInt32 = 0
        var standing = Standing()
        var cost = 0
    }

    private struct Queue {
        var newest: Int32 = -1
        var oldest: Int32 = -1
        var count = 0
        var cost = 0

        mutating func link(_ slot: Int32, in nodes: inout [Node]) {
            nodes[Int(slot)].newer = -1
            nodes[Int(slot)].older = newest
            if newest >= 0 { nodes[Int(newest)].newer = slot } else { oldest = slot }
            newest = slot
            count += 1
            cost += nodes[Int(slot)].cost
        }

        mutating func unlink(_ slot: Int32, in nodes: inout [Node]) {
            let node = nodes[Int(slot)]
            if node.newer >= 0 { nodes[Int(node.newer)].older = node.older } else { newest = node.older }
            if node.older >= 0 { nodes[Int(node.older)].newer = node.newer } else { oldest = node.newer }
            count -= 1
            cost -= node.cost
        }
    }

    /// The number of entries that one decision examines.
    private static let maxSteps = 64
    private static let maxUses: UInt8 = 3

    private var nodes: [Node] = []
    private var small = Queue()
    private var main = Queue()
    private var ghosts = GhostList()

    /// The number of entries.
    var count: Int { small.count + main.count }
    /// The sum of the entries' costs.
    var cost: Int { small.cost + main.cost }
    /// The sum of the costs of the entries that were used too seldom to stay through a scan.
    var probationaryCost: Int { small.cost }
    /// The number of remembered keys.
    var rememberedCount: Int { ghosts.count }

    /// The bytes of memory for each entry, with a remembered key.
    static var overhead: Int { MemoryLayout<Node>.stride + 3 * MemoryLayout<UInt64>.stride }

    /// Adds an entry.
    ///
    /// - Parameters:
    ///   - slot: The slot of the entry.
    ///   - cost: The cost of the entry.
    ///   - fingerprint: The fingerprint of the key.
    ///   - standing: The standing of an entry with the same key that was removed, or `nil` for a new key.
    mutating func insert(_ slot: Int32, cost: Int, fingerprint: UInt32, standing: Standing? = nil) {
        while nodes.count <= Int(slot) { nodes.append(Node()) }
        let standing = standing ?? Standing(uses: 0, isMain: ghosts.remove(fingerprint))
        nodes[Int(slot)] = Node(fingerprint: fingerprint, standing: standing, cost: cost)
        link(slot)
    }

    /// Records a use of an entry.
    @usableFromInline
    mutating func use(_ slot: Int32) {
        let uses = nodes[Int(slot)].standing.uses
        if uses < Self.maxUses { nodes[Int(slot)].standing.uses = uses + 1 }
    }

    /// Removes an entry.
    ///
    /// - Parameters:
    ///   - slot: The slot of the entry.
    ///   - isRemembered: `true` if the key is remembered, as after an eviction.
    /// - Returns: The standing of the entry.
    @discardableResult
    mutating func remove(_ slot: Int32, isRemembered: Bool) -> Standing {
        unlink(slot)
        // The main queue keeps the keys that returned, so only keys of the small queue are remembered.
        if isRemembered, !nodes[Int(slot)].standing.isMain {
            ghosts.append(nodes[Int(slot)].fingerprint, limit: max(1, count))
        }
        defer { nodes[Int(slot)] = Node() }
        return nodes[Int(slot)].standing
    }

    /// Selects the entry to evict next.
    ///
    /// - Parameters:
    ///   - maxCost: The bound of ``cost``.
    ///   - maxCount: The bound of ``count``.
    /// - Returns: The slot, or `nil` if there is no entry.
    mutating func nextVictim(maxCost: Int, maxCount: Int) -> Int32? {
        for _ in 0..<Self.maxSteps {
            let isSmallFull = small.cost >= maxCost / 10 || small.count >= maxCount / 10
            if small.count > 0, isSmallFull || main.count == 0 {
                if nodes[Int(small.oldest)].standing.uses < 2 { return small.oldest }
                let slot = small.oldest
                unlink(slot)
                nodes[Int(slot)].standing.uses = 0
                nodes[Int(slot)].standing.isMain = true
                link(slot)
            } else {
                guard main.count > 0 else { return nil }
                let slot = main.oldest
                if nodes[Int(slot)].standing.uses == 0 { return slot }
                unlink(slot)
                nodes[Int(slot)].standing.uses -= 1
                link(slot)
            }
        }
        return main.count > 0 ? main.oldest : small.oldest
    }

    private mutating func link(_ slot: Int32) {
        if nodes[Int(slot)].standing.isMain { main.link(slot, in: &nodes) } else { small.link(slot, in: &nodes) }
    }

    private mutating func unlink(_ slot: Int32) {
        if nodes[Int(slot)].standing.isMain { main.unlink(slot, in: &nodes) } else { small.unlink(slot, in: &nodes) }
    }
}

/// A heap of items in the order of their times and then of their versions.
///
/// Each item stores its place in the heap. An item therefore moves or leaves without a search, and no outdated entry
/// stays behind. The heap grows and shrinks in small chunks and never copies its items.
@safe struct ItemHeap: ~Copyable, @unchecked Sendable {
    // @unchecked Sendable: the heap is the only owner of its chunks, and cannot be copied.

    private struct Slot {
        /// A copy of the item's time, so that a comparison reads no item.
        var time: Int64
        var item: Item
    }

    private static let chunkSize = 32
    private static let arity = 4

    private var chunks: [UnsafeMutablePointer<Slot>] = unsafe []
    private(set) var count = 0
    /// The number of slots moved or compared, for the tests of growth.
    private(set) var steps = 0

    deinit { unsafe chunks.forEach { chunk in unsafe chunk.deallocate() } }

    private subscript(index: Int) -> Slot {
        get { unsafe chunks[index / Self.chunkSize][index % Self.chunkSize] }
        nonmutating set { unsafe chunks[index / Self.chunkSize][index % Self.chunkSize] = newValue }
    }

    /// The item with the earliest time.
    var first: Item? { count == 0 ? nil : self[0].item }

    /// Inserts an item, which must be in no heap.
    mutating func insert(_ item: Item) {
        if unsafe chunks.count * Self.chunkSize == count {
            let chunk = UnsafeMutablePointer<Slot>.allocate(capacity: Self.chunkSize)
            unsafe chunks.append(chunk)
        }
        count += 1
        moveUp(Slot(time: item.time, item: item), from: count - 1)
    }

    /// Removes an item if the item is in the heap.
    mutating func remove(_ item: Item) {
        guard let index = item.heapIndex else { return }
        item.heapIndex = nil
        count -= 1
        let last = self[count]
        if index < count { move(last, from: index) }
        // One spare chunk stays, so that changes at an edge do not allocate each time.
        if unsafe count + 2 * Self.chunkSize <= chunks.count * Self.chunkSize {
            unsafe chunks.removeLast().deallocate()
        }
    }

    /// Moves an item in the heap to its present time and version.
    mutating func update(_ item: Item) {
        if let index = item.heapIndex { move(Slot(time: item.time, item: item), from: index) }
    }

    /// Puts an item at the place of another item, which leaves the heap.
    mutating func replace(_ old: Item, with item: Item) {
        guard let index = old.heapIndex else { return }
        old.heapIndex = nil
        move(Slot(time: item.time, item: item), from: index)
    }

    /// Returns the first items in order without a change of the heap.
    ///
    /// - Parameters:
    ///   - limit: The largest number of items.
    ///   - time: The latest time of the items.
    /// - Returns: The items.
    func smallest(_ limit: Int, upTo time: Int64) -> [Item] {
        var items: [Item] = []
        // The candidates are the children of the returned items, the next one last.
        var candidates: [Slot] = count > 0 ? [self[0]] : []
        while items.count < limit, let next = candidates.popLast(), next.time <= time {
            items.append(next.item)
            let start = Self.arity * (next.item.heapIndex ?? 0) + 1
            for index in start..<max(start, min(start + Self.arity, count)) {
                let slot = self[index]
                var low = 0
                var high = candidates.count
                while low < high {
                    let middle = (low + high) / 2
                    if precedes(slot, candidates[middle]) { low = middle + 1 } else { high = middle }
                }
                candidates.insert(slot, at: low)
            }
        }
        return items
    }

    private func precedes(_ left: Slot, _ right: Slot) -> Bool {
        if left.time != right.time { return left.time < right.time }
        return left.item.version < right.item.version
    }

    private func set(_ index: Int, _ slot: Slot) {
        self[index] = slot
        slot.item.heapIndex = index
    }

    private mutating func move(_ slot: Slot, from index: Int) {
        if index > 0, precedes(slot, self[(index - 1) / Self.arity]) {
            moveUp(slot, from: index)
        } else {
            moveDown(slot, from: index)
        }
    }

    private mutating func moveUp(_ slot: Slot, from start: Int) {
        var index = start
        while index > 0 {
            steps &+= 1
            let parent = (index - 1) / Self.arity
            guard precedes(slot, self[parent]) else { break }
            set(index, self[parent])
            index = parent
        }
        set(index, slot)
    }

    private mutating func moveDown(_ slot: Slot, from start: Int) {
        var index = start
        while true {
            steps &+= 1
            let first = Self.arity * index + 1
            guard first < count else { break }
            var least = first
            for child in first..<min(first + Self.arity, count) where precedes(self[child], self[least]) {
                least = child
            }
            guard precedes(self[least], slot) else { break }
            set(index, self[least])
            index = least
        }
        set(index, slot)
    }
}

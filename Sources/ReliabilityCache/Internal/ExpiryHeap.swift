/// Slots in the order of their instants.
///
/// Every method takes at most logarithmic time. The heap is a flat array without a reference for each slot.
struct ExpiryHeap: Sendable {
    private struct Item {
        var instant: Int64
        var slot: Int32
    }

    private var items: [Item] = []
    /// The position of each slot in `items`, or -1.
    private var positions: [Int32] = []

    var count: Int { items.count }

    /// The slot with the earliest instant, or `nil` if there is none.
    var earliest: (slot: Int32, instant: Int64)? { items.first.map { ($0.slot, $0.instant) } }

    /// Adds a slot or moves a slot to another instant.
    mutating func set(_ slot: Int32, at instant: Int64) {
        while positions.count <= Int(slot) { positions.append(-1) }
        let position = Int(positions[Int(slot)])
        if position < 0 {
            items.append(Item(instant: instant, slot: slot))
            positions[Int(slot)] = Int32(items.count - 1)
            siftUp(items.count - 1)
        } else {
            items[position].instant = instant
            siftUp(position)
            siftDown(Int(positions[Int(slot)]))
        }
    }

    /// Removes a slot.
    mutating func remove(_ slot: Int32) {
        guard Int(slot) < positions.count, positions[Int(slot)] >= 0 else { return }
        let position = Int(positions[Int(slot)])
        positions[Int(slot)] = -1
        guard let last = items.popLast(), position < items.count else { return }
        place(last, at: position)
        siftUp(position)
        siftDown(Int(positions[Int(last.slot)]))
    }

    private mutating func place(_ item: Item, at position: Int) {
        items[position] = item
        positions[Int(item.slot)] = Int32(position)
    }

    private mutating func siftUp(_ start: Int) {
        var position = start
        let item = items[position]
        while position > 0 {
            let parent = (position - 1) / 2
            if items[parent].instant <= item.instant { break }
            place(items[parent], at: position)
            position = parent
        }
        place(item, at: position)
    }

    private mutating func siftDown(_ start: Int) {
        var position = start
        let item = items[position]
        while true {
            var child = 2 * position + 1
            if child >= items.count { break }
            if child + 1 < items.count, items[child + 1].instant < items[child].instant { child += 1 }
            if items[child].instant >= item.instant { break }
            place(items[child], at: position)
            position = child
        }
        place(item, at: position)
    }
}

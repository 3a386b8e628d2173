/// A binary heap of entries that store their own positions.
struct DeadlineHeap {
    /// The position of the heap's first entry.
    let firstPosition: Int
    private(set) var entries: [TimerEntry] = []

    init(firstPosition: Int) { self.firstPosition = firstPosition }

    var first: TimerEntry? { entries.first }

    mutating func insert(_ entry: TimerEntry) {
        entry.position = firstPosition + entries.count
        entries.append(entry)
        siftUp(entries.count - 1)
    }

    mutating func remove(_ entry: TimerEntry) {
        let place = entry.position - firstPosition
        let last = entries.removeLast()
        if place == entries.count { return }
        entries[place] = last
        last.position = entry.position
        siftDown(place)
        siftUp(last.position - firstPosition)
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard entries[child].isBefore(entries[parent]) else { return }
            swapEntries(child, parent)
            child = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var least = 2 * parent + 1
            guard least < entries.count else { return }
            if least + 1 < entries.count, entries[least + 1].isBefore(entries[least]) { least += 1 }
            guard entries[least].isBefore(entries[parent]) else { return }
            swapEntries(least, parent)
            parent = least
        }
    }

    private mutating func swapEntries(_ first: Int, _ second: Int) {
        entries.swapAt(first, second)
        entries[first].position = firstPosition + first
        entries[second].position = firstPosition + second
    }
}

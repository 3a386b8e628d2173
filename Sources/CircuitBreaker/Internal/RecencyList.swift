/// Values by key in the order of their last use.
///
/// Every method takes constant time.
struct RecencyList<Key: Hashable, Value> {
    private struct Entry {
        var key: Key
        var value: Value
        var newer: Int?
        var older: Int?

        mutating func with<Result>(_ body: (inout Value) -> Result) -> Result { body(&value) }
    }

    private var entries: [Entry?] = []
    private var positions: [Key: Int] = [:]
    private var free: [Int] = []
    private var newest: Int?
    /// The position of the value that has not been used for the longest time, or `nil` if the list is empty.
    private(set) var oldest: Int?

    var count: Int { positions.count }
    var all: [(key: Key, value: Value)] { entries.compactMap { entry in entry.map { ($0.key, $0.value) } } }

    /// Returns the value of a key and makes the value the newest.
    mutating func use(_ key: Key) -> Value? {
        guard let position = positions[key] else { return nil }
        makeNewest(position)
        return entries[position]?.value
    }

    /// Adds a value as the newest.
    ///
    /// The key must be absent.
    mutating func insert(_ value: Value, for key: Key) {
        let entry = Entry(key: key, value: value, newer: nil, older: nil)
        let position = free.popLast() ?? entries.count
        if position == entries.count { entries.append(entry) } else { entries[position] = entry }
        positions[key] = position
        linkAsNewest(position)
    }

    /// Moves a value to the newest position.
    mutating func makeNewest(_ position: Int) {
        if newest == position { return }
        unlink(position)
        linkAsNewest(position)
    }

    /// Removes the value of a key.
    mutating func remove(_ key: Key) -> Value? {
        guard let position = positions[key] else { return nil }
        return remove(at: position)?.value
    }

    /// Removes the value at a position.
    mutating func remove(at position: Int) -> (key: Key, value: Value)? {
        guard let entry = entries[position] else { return nil }
        unlink(position)
        entries[position] = nil
        positions[entry.key] = nil
        free.append(position)
        return (entry.key, entry.value)
    }

    /// Runs a closure with access to the value at a position in place.
    mutating func withValue<Result>(at position: Int, _ body: (inout Value) -> Result) -> Result? {
        entries[position]?.with(body)
    }

    private mutating func unlink(_ position: Int) {
        guard let entry = entries[position] else { return }
        if let newer = entry.newer { entries[newer]?.older = entry.older } else { newest = entry.older }
        if let older = entry.older { entries[older]?.newer = entry.newer } else { oldest = entry.newer }
    }

    private mutating func linkAsNewest(_ position: Int) {
        entries[position]?.newer = nil
        entries[position]?.older = newest
        if let newest { entries[newest]?.newer = position }
        newest = position
        if oldest == nil { oldest = position }
    }
}

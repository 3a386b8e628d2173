internal import Synchronization

/// The used and the largest capacity of an `InMemoryStore`, and its versions.
///
/// All shards share the capacity. A shard reserves room with its lock locked. A reservation that fails may have met a
/// reservation that fails as well. With all locks locked, the answer is exact.
final class MemoryCapacity: Sendable {
    let limits: StoreLimits
    private let items = Atomic<Int>(0)
    private let bytes = Atomic<Int>(0)
    private let nextVersion = Atomic<UInt64>(1)

    init(_ limits: StoreLimits) { self.limits = limits }

    /// The used capacity.
    var size: StoreDelta {
        StoreDelta(items: items.load(ordering: .relaxed), bytes: bytes.load(ordering: .relaxed))
    }

    /// Takes the next `count` versions.
    ///
    /// - Returns: The first version.
    func takeVersions(_ count: Int = 1) -> UInt64 {
        nextVersion.wrappingAdd(UInt64(count), ordering: .relaxed).oldValue
    }

    /// Adds to the used capacity without a check.
    func add(_ delta: StoreDelta) {
        if delta.items != 0 { items.wrappingAdd(delta.items, ordering: .relaxed) }
        if delta.bytes != 0 { bytes.wrappingAdd(delta.bytes, ordering: .relaxed) }
    }

    /// Adds to the used capacity if there is room.
    ///
    /// - Returns: `false` if there is no room. Nothing is added then.
    func reserve(_ delta: StoreDelta) -> Bool {
        guard Self.add(delta.items, to: items, limit: limits.maxEntries) else { return false }
        if Self.add(delta.bytes, to: bytes, limit: limits.maxBytes) { return true }
        items.wrappingSubtract(delta.items, ordering: .relaxed)
        return false
    }

    private static func add(_ number: Int, to total: borrowing Atomic<Int>, limit: Int) -> Bool {
        if number == 0 { return true }
        if number < 0 {
            total.wrappingAdd(number, ordering: .relaxed)
            return true
        }
        var current = total.load(ordering: .relaxed)
        while current + number <= limit {
            let (done, original) = total.weakCompareExchange(
                expected: current,
                desired: current + number,
                ordering: .relaxed
            )
            if done { return true }
            current = original
        }
        return false
    }
}

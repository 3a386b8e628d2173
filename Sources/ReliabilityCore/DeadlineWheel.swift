/// Pending entries by their instants: a hierarchical timing wheel (Varghese and Lauck, 1987).
///
/// Time is cut into ticks of 2^16 ns (65.5 µs). A level has 64 slots; a slot of the lowest level is one tick, a slot of
/// any other one is the 64 slots of the level below. Eight levels reach every instant that an `Int64` can hold. An entry
/// is in the level of the highest six bits in which its tick differs from the cursor's, so arming and cancelling take
/// the same few steps however many are pending. When the cursor enters a slot, the entries in it move to lower levels.
/// Those of the cursor's own tick, and of any before, are in a heap, which keeps them in their exact order.
///
/// It has no clock, no lock and no thread.
package struct DeadlineWheel: ~Copyable {
    /// What ``next(at:)`` found.
    package enum Next: Sendable {
        /// An entry that was due; it has been removed.
        case due(DeadlineScheduler.Entry)
        /// None is due, and none will be before this instant; `Int64.max` when there is none.
        case later(Int64)
        /// There is more to move before that can be said: ask again.
        case unfinished
    }

    @safe private struct Slot {
        var first: Unmanaged<DeadlineScheduler.Entry>?
        /// No entry in the slot is earlier.
        var earliest = Int64.max
    }

    private static let levels = 8
    /// How many entries one call moves at most, so that nobody waits long for the lock around it.
    private static let stride = 256

    private var slots = [Slot](repeating: Slot(), count: 64 * levels)
    /// Which slots of each level have entries, a bit for each.
    private var occupied = [UInt64](repeating: 0, count: levels)
    private var due = DeadlineHeap(firstPosition: 64 * levels)
    /// The tick up to which all entries are in the heap.
    private var cursor: UInt64
    /// The slot that the cursor has entered, while there may be entries in it.
    private var open: Int?
    private var sequence: UInt64 = 0

    /// The number of entries.
    package private(set) var count = 0

    /// Creates an empty wheel.
    package init(at instant: Int64) { cursor = Self.tick(instant) }

    deinit {
        for slot in slots {
            var link = unsafe slot.first
            while let entry = unsafe link?.takeUnretainedValue() {
                unsafe link = entry.next
                Self.letGo(of: entry)
            }
        }
        for entry in due.entries { Self.letGo(of: entry) }
    }

    /// Adds an entry; one that is in the wheel already is moved.
    package mutating func insert(_ entry: DeadlineScheduler.Entry, at instant: Int64) {
        if entry.position == DeadlineScheduler.Entry.nowhere {
            unsafe _ = Unmanaged.passRetained(entry)
            count += 1
        } else {
            takeOut(entry)
        }
        sequence &+= 1
        entry.instant = instant
        entry.sequence = sequence
        place(entry)
    }

    /// Removes an entry.
    ///
    /// - Returns: Whether it was in the wheel.
    @discardableResult
    package mutating func remove(_ entry: DeadlineScheduler.Entry) -> Bool {
        if entry.position == DeadlineScheduler.Entry.nowhere { return false }
        takeOut(entry)
        count -= 1
        Self.letGo(of: entry)
        return true
    }

    private mutating func takeOut(_ entry: DeadlineScheduler.Entry) {
        let position = entry.position
        if position < slots.count { unlink(entry, from: position) } else { due.remove(entry) }
    }

    /// Gives up the wheel's one reference to an entry.
    private static func letGo(of entry: DeadlineScheduler.Entry) {
        entry.position = DeadlineScheduler.Entry.nowhere
        unsafe Unmanaged.passUnretained(entry).release()
    }

    /// Removes the first entry if its instant has come.
    ///
    /// A reading that stands still or goes back is as good as any other: what is not due by it, is not due. A jump takes
    /// a few steps for every slot with entries that it passes, however far it is.
    package mutating func next(at now: Int64) -> Next {
        guard advance(to: Self.tick(now)) else { return .unfinished }
        guard let first = due.first else { return .later(nextSlot().map { slots[$0.slot].earliest } ?? .max) }
        guard first.instant <= now else { return .later(first.instant) }
        remove(first)
        return .due(first)
    }

    /// The instant of the first entry; nil when there is none.
    ///
    /// It looks at every entry of a slot.
    package func earliest() -> Int64? {
        var earliest = due.first?.instant
        // What is in the heap comes before every slot but the open one, whose entries move to the heap and to other slots.
        let next = earliest == nil ? nextSlot()?.slot : nil
        for slot in [open, next] {
            if let slot { scan(slot) { earliest = min($0, earliest ?? $0) } }
        }
        return earliest
    }

    private func scan(_ slot: Int, _ body: (Int64) -> Void) {
        var link = unsafe slots[slot].first
        while let entry = unsafe link?.takeUnretainedValue() {
            body(entry.instant)
            unsafe link = entry.next
        }
    }

    /// Counts from the least instant.
    private static func tick(_ instant: Int64) -> UInt64 {
        (UInt64(bitPattern: instant) ^ (1 << 63)) >> 16
    }

    /// Moves the cursor, and into the heap what it reaches; false when it has not come that far.
    private mutating func advance(to tick: UInt64) -> Bool {
        var budget = Self.stride
        while true {
            if let slot = open {
                while let entry = unsafe slots[slot].first?.takeUnretainedValue() {
                    if budget == 0 { return false }
                    budget -= 1
                    unlink(entry, from: slot)
                    place(entry)
                }
                open = nil
            }
            guard let (slot, start) = nextSlot(), start <= tick else {
                cursor = max(cursor, tick)
                return true
            }
            cursor = start
            open = slot
        }
    }

    /// The first slot after the cursor with entries, and its first tick.
    ///
    /// Those in a level are all earlier than those in the level above. The open slot has been passed.
    private func nextSlot() -> (slot: Int, start: UInt64)? {
        for level in 0..<Self.levels {
            var bits = occupied[level]
            if let open, open / 64 == level { bits &= ~(1 << UInt64(open % 64)) }
            if bits == 0 { continue }
            let index = bits.trailingZeroBitCount
            let above = (cursor >> UInt64(6 * level + 6)) << UInt64(6 * level + 6)
            return (64 * level + index, above | UInt64(index) << UInt64(6 * level))
        }
        return nil
    }

    private mutating func place(_ entry: DeadlineScheduler.Entry) {
        let tick = Self.tick(entry.instant)
        guard tick > cursor else {
            due.insert(entry)
            return
        }
        let level = (63 - (tick ^ cursor).leadingZeroBitCount) / 6
        let index = Int(truncatingIfNeeded: tick >> UInt64(6 * level)) & 63
        link(entry, into: 64 * level + index)
    }

    private mutating func link(_ entry: DeadlineScheduler.Entry, into slot: Int) {
        let this = unsafe Unmanaged.passUnretained(entry)
        entry.position = slot
        unsafe entry.previous = nil
        unsafe entry.next = slots[slot].first
        if let next = unsafe entry.next {
            unsafe next._withUnsafeGuaranteedRef { unsafe $0.previous = this }
            slots[slot].earliest = min(slots[slot].earliest, entry.instant)
        } else {
            occupied[slot / 64] |= 1 << UInt64(slot % 64)
            slots[slot].earliest = entry.instant
        }
        unsafe slots[slot].first = this
    }

    private mutating func unlink(_ entry: DeadlineScheduler.Entry, from slot: Int) {
        let next = unsafe entry.next
        let previous = unsafe entry.previous
        if let next = unsafe next { unsafe next._withUnsafeGuaranteedRef { unsafe $0.previous = previous } }
        if let previous = unsafe previous {
            unsafe previous._withUnsafeGuaranteedRef { unsafe $0.next = next }
        } else {
            unsafe slots[slot].first = next
            if unsafe next == nil { occupied[slot / 64] &= ~(1 << UInt64(slot % 64)) }
        }
    }
}

/// A hierarchical timing wheel of pending entries (Varghese and Lauck, 1987).
///
/// Arming and cancelling take constant time for entries in the slots. Entries are removed in their exact order. The
/// wheel has no clock, no lock and no thread.
//
// Time is divided into ticks of 2^16 ns (65.5 µs). A level has 64 slots. A slot of the lowest level is a tick. A slot
// of a higher level covers the 64 slots of the level below. Eight levels cover every `Int64` instant. An entry is in
// the level of the highest six bits in which the entry's tick differs from the cursor's tick. When the cursor enters a
// slot, the entries of the slot move to lower levels. Entries of the cursor's tick and of earlier ticks are in a heap,
// in their exact order.
package struct DeadlineWheel: ~Copyable {
    /// The result of ``next(at:)``.
    package enum Next: Sendable {
        /// A due entry that has been removed.
        case due(TimerEntry)
        /// No entry is due before this instant, which is `Int64.max` if the wheel is empty.
        case later(Int64)
        /// More entries must move first. Call ``next(at:)`` again.
        case unfinished
    }

    @safe private struct Slot {
        var first: Unmanaged<TimerEntry>?
        /// A lower bound of the instants in the slot.
        var earliest = Int64.max
    }

    private static let levels = 8
    /// The largest number of entries that a call moves.
    ///
    /// The number bounds the time under the scheduler's lock.
    private static let stride = 256

    private var slots = [Slot](repeating: Slot(), count: 64 * levels)
    /// The occupied slots of each level as a bit for each slot.
    private var occupied = [UInt64](repeating: 0, count: levels)
    private var due = DeadlineHeap(firstPosition: 64 * levels)
    /// The tick up to which all entries are in the heap.
    private var cursor: UInt64
    /// The slot that the cursor has entered, or `nil` after all entries of that slot have moved.
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
                Self.release(entry)
            }
        }
        for entry in due.entries { Self.release(entry) }
    }

    /// Adds an entry or moves an entry that is already in the wheel.
    package mutating func insert(_ entry: TimerEntry, at instant: Int64) {
        if entry.position == TimerEntry.noPosition {
            unsafe _ = Unmanaged.passRetained(entry)
            count += 1
        } else {
            detach(entry)
        }
        sequence &+= 1
        entry.instant = instant
        entry.sequence = sequence
        place(entry)
    }

    /// Removes an entry.
    ///
    /// - Returns: `true` if the entry was in the wheel.
    @discardableResult
    package mutating func remove(_ entry: TimerEntry) -> Bool {
        if entry.position == TimerEntry.noPosition { return false }
        detach(entry)
        count -= 1
        Self.release(entry)
        return true
    }

    private mutating func detach(_ entry: TimerEntry) {
        let position = entry.position
        if position < slots.count { unlink(entry, from: position) } else { due.remove(entry) }
    }

    /// Releases the wheel's reference to an entry.
    private static func release(_ entry: TimerEntry) {
        entry.position = TimerEntry.noPosition
        unsafe Unmanaged.passUnretained(entry).release()
    }

    /// Removes and returns the first entry if that entry is due.
    ///
    /// Readings may stand still or go back. Only the given reading decides whether an entry is due. A jump of any
    /// length takes a few steps for every occupied slot on the way.
    package mutating func next(at now: Int64) -> Next {
        guard advance(to: Self.tick(now)) else { return .unfinished }
        guard let first = due.first else { return .later(nextSlot().map { slots[$0.slot].earliest } ?? .max) }
        guard first.instant <= now else { return .later(first.instant) }
        remove(first)
        return .due(first)
    }

    /// Returns the instant of the first entry, or `nil` if the wheel is empty.
    ///
    /// The method reads every entry of up to two slots.
    package func earliest() -> Int64? {
        var earliest = due.first?.instant
        // The heap comes before every slot except the open slot, whose entries move to the heap and to other slots.
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

    /// Returns the tick of an instant.
    ///
    /// The least instant has the tick zero.
    private static func tick(_ instant: Int64) -> UInt64 {
        (UInt64(bitPattern: instant) ^ (1 << 63)) >> 16
    }

    /// Moves the cursor to a tick and all reached entries into the heap.
    ///
    /// - Returns: `false` if more entries must move before the cursor reaches the tick.
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

    /// Returns the first occupied slot after the cursor and the slot's first tick.
    // All entries of a level are earlier than the entries of the level above. The cursor has passed the open slot.
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

    private mutating func place(_ entry: TimerEntry) {
        let tick = Self.tick(entry.instant)
        guard tick > cursor else {
            due.insert(entry)
            return
        }
        let level = (63 - (tick ^ cursor).leadingZeroBitCount) / 6
        let index = Int(truncatingIfNeeded: tick >> UInt64(6 * level)) & 63
        link(entry, into: 64 * level + index)
    }

    private mutating func link(_ entry: TimerEntry, into slot: Int) {
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

    private mutating func unlink(_ entry: TimerEntry, from slot: Int) {
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

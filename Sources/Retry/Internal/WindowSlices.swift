internal import ReliabilityCore

/// Which slice of a sliding window is the present one, for counts that are kept by slice in a ring.
///
/// A step costs the same whatever the counts are; a jump of years is one step that ends all slices.
struct WindowSlices: Hashable {
    /// How many slices the window has.
    let count: Int
    let width: Int64
    /// The number of the present slice, counted from the reading zero.
    private(set) var newest: Int64 = 0
    /// When the present slice began; nil before the first reading.
    private var start: Int64?

    /// Divides a window, whose length is at least `count` nanoseconds.
    init(length: Int64, count: Int) {
        self.count = count
        width = max(1, length / Int64(count))
    }

    /// Moves on to a time.
    ///
    /// - Returns: How many slices have begun since, at most `count`: so many of the oldest are over.
    mutating func slide(to now: Int64) -> Int {
        if let start, now >= start, now.saturatingSubtract(start) < width { return 0 }
        // Rounded down, for readings below zero too.
        let current = now >= 0 ? now / width : -1 - (-1 - now) / width
        let steps = start == nil ? Int64(count) : current.saturatingSubtract(newest)
        // A reading a little older than the newest is that of a slower caller, and counts as new.
        if steps <= 0, steps > -Int64(count) { return 0 }
        newest = current
        start = current.saturatingMultiply(width)
        return Int(min(steps.magnitude, UInt64(count)))
    }

    /// Where in the ring a slice's counts are.
    func position(of slice: Int64) -> Int {
        let remainder = Int(slice % Int64(count))
        return remainder < 0 ? remainder + count : remainder
    }

    /// Where in the ring the present slice's counts are.
    var position: Int { position(of: newest) }
}

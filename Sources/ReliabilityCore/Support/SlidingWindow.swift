/// The slices of a sliding window with a count for each slice in a ring.
///
/// A step takes constant time. A jump of years is a single step that ends every slice.
package struct SlidingWindow: Hashable, Sendable {
    /// The number of slices.
    package let count: Int
    /// The length of a slice in nanoseconds.
    package let width: Int64
    /// The number of the present slice, counted from the reading zero.
    package private(set) var newest: Int64 = 0
    /// The reading at which the present slice began, or `nil` before the first reading.
    private var start: Int64?

    /// Divides a window into slices.
    ///
    /// - Parameters:
    ///   - length: The length of the window in nanoseconds.
    ///   - count: The number of slices, at least 1. A window shorter than `count` nanoseconds has a slice for each
    ///     nanosecond.
    package init(length: Int64, count: Int) {
        self.count = Int(min(Int64(count), max(1, length)))
        width = max(1, length / Int64(self.count))
    }

    /// Advances the window to a reading.
    ///
    /// - Parameter now: The reading.
    /// - Returns: The number of slices that began since the last reading, at most ``count``. The same number of the
    ///   oldest slices has ended.
    package mutating func slide(to now: Int64) -> Int {
        if let start, now >= start, now.saturatingSubtract(start) < width { return 0 }
        // Rounded down, for readings below zero too.
        let current = now >= 0 ? now / width : -1 - (-1 - now) / width
        let steps = start == nil ? Int64(count) : current.saturatingSubtract(newest)
        // A slightly older reading comes from a slower caller and counts as the present reading.
        if steps <= 0, steps > -Int64(count) { return 0 }
        newest = current
        start = current.saturatingMultiply(width)
        return Int(min(steps.magnitude, UInt64(count)))
    }

    /// Returns the position of a slice in the ring.
    ///
    /// - Parameter slice: The number of the slice.
    /// - Returns: The position, from 0 to ``count`` - 1.
    package func position(of slice: Int64) -> Int {
        let remainder = Int(slice % Int64(count))
        return remainder < 0 ? remainder + count : remainder
    }

    /// The position of the present slice in the ring.
    package var position: Int { position(of: newest) }
}

package import ReliabilityCore

/// A store's clock: the wall clock at the opening, advanced by a monotonic clock.
///
/// The clock never moves backward. A correction of the wall clock neither ends nor prolongs a lease.
package struct StoreClock: Sendable {
    private let timeSource: TimeSource
    private let start: Int64
    private let base: Int64

    /// Creates a clock that starts at `base`, in nanoseconds since 1970.
    package init(startingAt base: Int64, _ timeSource: TimeSource) {
        self.timeSource = timeSource
        // The state of a store cannot express times before 1970.
        let base = max(0, base)
        // A whole millisecond makes expiries exact. Rounding up keeps the clock from moving backward.
        let remainder = base % 1_000_000
        self.base = remainder > 0 ? base.saturatingAdd(1_000_000 - remainder) : base
        start = timeSource.now
    }

    /// The present time in nanoseconds since 1970.
    package var now: Int64 { base.saturatingAdd(max(0, timeSource.now.saturatingSubtract(start))) }
}

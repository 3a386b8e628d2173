package import ReliabilityCore

/// A store's clock: the wall clock as it was at the opening, moved on by a monotonic one.
///
/// So it never goes backwards, and a correction of the wall clock neither ends every lease nor prolongs any.
package struct StoreClock: Sendable {
    private let timeSource: TimeSource
    private let start: Int64
    private let base: Int64

    /// Starts a clock at `base`, in nanoseconds since 1970.
    package init(startingAt base: Int64, _ timeSource: TimeSource) {
        self.timeSource = timeSource
        // Not before 1970: there a store's state does not go.
        let base = max(0, base)
        // On a whole millisecond, as expiries are, so that they are exact; upwards, so that it is never set back.
        let remainder = base % 1_000_000
        self.base = remainder > 0 ? base.saturatingAdd(1_000_000 - remainder) : base
        start = timeSource.now
    }

    /// The present time in nanoseconds since 1970.
    package var now: Int64 { base.saturatingAdd(max(0, timeSource.now.saturatingSubtract(start))) }
}

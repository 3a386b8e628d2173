internal import ReliabilityCore

/// A running estimate of the median of durations.
///
/// Each sample moves the estimate by at most a sixteenth, so that half of the samples are below the estimate.
struct TypicalDuration: Hashable, Sendable {
    /// The estimate, or 0 before the first sample.
    private(set) var nanoseconds: Int64 = 0

    mutating func record(_ duration: Int64) {
        let duration = max(1, duration)
        if nanoseconds == 0 {
            nanoseconds = duration
        } else if duration > nanoseconds {
            nanoseconds = min(duration, nanoseconds.saturatingAdd(nanoseconds / 16 + 1))
        } else {
            nanoseconds = max(duration, nanoseconds - nanoseconds / 16)
        }
    }
}

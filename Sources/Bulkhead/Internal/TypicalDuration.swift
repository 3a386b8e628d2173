internal import ReliabilityCore

/// A running estimate of the median of durations.
///
/// Each sample moves the estimate by at most a sixteenth, so that half of the samples are below the estimate. The first
/// samples move the estimate by up to half, because a first call is often slow.
struct TypicalDuration: Hashable, Sendable {
    /// The number of samples that move the estimate by up to half.
    private static let firstSamples = 16

    /// The estimate, or 0 before the first sample.
    private(set) var nanoseconds: Int64 = 0
    /// The number of samples, at most ``firstSamples``.
    private var samples = 0

    mutating func record(_ duration: Int64) {
        let duration = max(1, duration)
        let step = nanoseconds / (samples < Self.firstSamples ? 2 : 16)
        samples = min(samples + 1, Self.firstSamples)
        if nanoseconds == 0 {
            nanoseconds = duration
        } else if duration > nanoseconds {
            nanoseconds = min(duration, nanoseconds.saturatingAdd(step + 1))
        } else {
            nanoseconds = max(duration, nanoseconds - step)
        }
    }
}

internal import ReliabilityCore

/// A period of `length` nanoseconds that starts at a clock reading.
///
/// A clock that is set back extends the period to at most twice its length.
struct WaitPeriod: Hashable {
    private var end: Int64
    let length: Int64

    init(_ length: Int64, from now: Int64) {
        self.length = length
        end = now.saturatingAdd(length)
    }

    /// Returns the time left from 0 to `length`.
    func remaining(at now: Int64) -> Int64 { min(max(0, end.saturatingSubtract(now)), length) }

    /// Returns the time left after a correction for a clock that was set back.
    ///
    /// The period restarts if `now` is more than `length` before the start. A smaller difference is the reading of a
    /// caller that read the clock before the period was started.
    mutating func correctedRemaining(at now: Int64) -> Int64 {
        if end.saturatingSubtract(now) > length.saturatingMultiply(2) { end = now.saturatingAdd(length) }
        return remaining(at: now)
    }

    /// Shortens the period to end at most `limit` after `now`.
    mutating func shorten(toAtMost limit: Int64, from now: Int64) {
        if remaining(at: now) > limit { self = WaitPeriod(limit, from: now) }
    }
}

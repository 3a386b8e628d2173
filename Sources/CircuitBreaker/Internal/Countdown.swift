internal import ReliabilityCore

/// A stretch of time that began at some reading of the clock and ends `length` later.
///
/// A clock that was set back lengthens it to twice its length at most.
struct Countdown: Hashable {
    private var end: Int64
    let length: Int64

    init(_ length: Int64, from now: Int64) {
        self.length = length
        end = now.saturatingAdd(length)
    }

    /// The time left, from zero to `length`.
    func left(at now: Int64) -> Int64 { min(max(0, end.saturatingSubtract(now)), length) }

    /// The time left; a reading from more than `length` before the beginning starts it again.
    ///
    /// An older reading by less is that of a caller who read the clock before the one who began.
    mutating func tick(_ now: Int64) -> Int64 {
        if end.saturatingSubtract(now) > length.saturatingMultiply(2) { end = now.saturatingAdd(length) }
        return left(at: now)
    }

    /// Ends it no later than `limit` from now.
    mutating func clamp(to limit: Int64, _ now: Int64) {
        if left(at: now) > limit { self = Countdown(limit, from: now) }
    }
}

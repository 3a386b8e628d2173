internal import ReliabilityCore

/// The times of the last failures in a ring buffer.
struct FailureTimes: Hashable {
    private var times: [Int64] = []
    private var oldest = 0

    /// Records a failure.
    ///
    /// - Parameters:
    ///   - now: The time of the failure.
    ///   - limit: The number of failures to keep. The same number as before or as in ``keepLast(_:)``.
    ///   - length: The length of the window.
    /// - Returns: `true` if `limit` failures are recorded and the oldest of them lies within the window.
    mutating func record(_ now: Int64, keeping limit: Int, within length: Int64) -> Bool {
        if times.count < limit {
            times.append(now)
        } else {
            times[oldest] = now
            oldest = (oldest + 1) % limit
        }
        guard times.count == limit else { return false }
        // The magnitude, because a clock that was set back may leave a time in the future. That time must also expire.
        return now.saturatingSubtract(times[oldest]).magnitude < length.magnitude
    }

    /// Returns the number of recorded failures within a window.
    func count(_ now: Int64, within length: Int64) -> Int {
        times.count { now.saturatingSubtract($0).magnitude < length.magnitude }
    }

    /// Discards all but the newest `limit` failures.
    ///
    /// `limit` then holds for later calls of ``record(_:keeping:within:)``.
    mutating func keepLast(_ limit: Int) {
        times = Array((times[oldest...] + times[..<oldest]).suffix(limit))
        oldest = 0
    }
}

internal import ReliabilityCore

/// The growing share of calls that a breaker admits after its probes have succeeded.
struct Ramp: Hashable {
    private var period: WaitPeriod
    /// The share of admitted calls, which never decreases.
    private var share: Double
    /// The sum of the shares of the calls since the last admitted call.
    ///
    /// A call is admitted when the sum reaches 1. The first call is admitted.
    private var credit = 1.0

    init(length: Int64, share: Double, from now: Int64) {
        period = WaitPeriod(length, from: now)
        self.share = share
    }

    /// Returns the time until every call is admitted.
    func remaining(at now: Int64) -> Int64 { period.remaining(at: now) }

    /// Returns the share of admitted calls at a time.
    func share(at now: Int64, from start: Double) -> Double {
        let elapsed = 1 - Double(period.remaining(at: now)) / Double(max(1, period.length))
        return max(share, start + (1 - start) * elapsed)
    }

    /// Admits or rejects a call.
    ///
    /// - Parameters:
    ///   - now: The time.
    ///   - start: The share at the beginning of the ramp.
    /// - Returns: The time until every call is admitted if the call is rejected, or 0 if the call is admitted.
    mutating func wait(now: Int64, from start: Double) -> Int64 {
        let wait = period.correctedRemaining(at: now)
        if wait == 0 { return 0 }
        share = share(at: now, from: start)
        credit += share
        if credit < 1 { return wait }
        credit -= 1
        return 0
    }

    /// Shortens the ramp to end at most `limit` after `now`.
    mutating func shorten(toAtMost limit: Int64, from now: Int64) { period.shorten(toAtMost: limit, from: now) }
}

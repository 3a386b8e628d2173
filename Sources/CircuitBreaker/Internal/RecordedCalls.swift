internal import ReliabilityCore

/// The recorded calls of a closed breaker, limited to the needs of its rules.
struct RecordedCalls: Hashable {
    private var consecutiveFailures = 0
    /// The time of the first of the consecutive failures.
    private var firstConsecutiveFailure: Int64 = 0
    private var failureTimes = FailureTimes()
    private var callWindow: CallWindow

    init(_ tripCondition: TripCondition) { callWindow = CallWindow(tripCondition.failureRate) }

    /// Returns whether a successful call would change nothing.
    func ignoresSuccesses(_ tripCondition: TripCondition) -> Bool {
        tripCondition.failureRate == nil && (tripCondition.consecutiveFailures == nil || consecutiveFailures == 0)
    }

    /// Adapts the record to other rules.
    ///
    /// A rule that counts the same calls keeps its record.
    mutating func change(from old: TripCondition, to new: TripCondition) {
        if old.consecutiveFailures == nil || new.consecutiveFailures == nil { consecutiveFailures = 0 }
        if let limit = new.failures?.count, old.failures?.window == new.failures?.window {
            failureTimes.keepLast(limit)
        } else {
            failureTimes = FailureTimes()
        }
        if old.failureRate?.window != new.failureRate?.window { callWindow = CallWindow(new.failureRate) }
    }

    /// Records the outcome of a call.
    ///
    /// - Parameters:
    ///   - outcome: The outcome of the call.
    ///   - tripCondition: The rules from the initializer or from the last ``change(from:to:)``.
    ///   - now: The time.
    /// - Returns: `true` if the breaker must open. A success or an ignored call never opens the breaker.
    mutating func record(_ outcome: Outcome, _ tripCondition: TripCondition, now: Int64) -> Bool {
        if outcome == .ignored { return false }
        let hasFailed = outcome == .failure
        var opens = false
        if let rule = tripCondition.consecutiveFailures {
            if consecutiveFailures == 0 { firstConsecutiveFailure = now }
            consecutiveFailures = hasFailed ? min(consecutiveFailures, .max - 1) + 1 : 0
            let hasLasted = now.saturatingSubtract(firstConsecutiveFailure) >= rule.duration.saturatingNanoseconds
            opens = hasFailed && consecutiveFailures >= rule.count && hasLasted
        }
        if hasFailed, let rule = tripCondition.failures {
            let isFull = failureTimes.record(now, keeping: rule.count, within: rule.window.saturatingNanoseconds)
            opens = opens || isFull
        }
        if let rule = tripCondition.failureRate {
            callWindow.record(hasFailed: hasFailed, now: now)
            if hasFailed, callWindow.calls >= rule.minCalls {
                // The quotient is rounded once, as the literal on the right is: 7 of 100 equals 0.07 exactly.
                opens = opens || Double(callWindow.failures) / Double(callWindow.calls) >= rule.share
            }
        }
        return opens
    }
}

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

    /// Discards all but the newest `limit` failures.
    ///
    /// `limit` then holds for later calls of ``record(_:keeping:within:)``.
    mutating func keepLast(_ limit: Int) {
        times = Array((times[oldest...] + times[..<oldest]).suffix(limit))
        oldest = 0
    }
}

/// The numbers of calls and failures in a sliding window of ten slices.
struct CallWindow: Hashable {
    private struct Slice: Hashable {
        var calls = 0
        var failures = 0
    }

    private var slidingWindow: SlidingWindow
    private var slices: [Slice] = []
    private(set) var calls = 0
    private(set) var failures = 0

    /// Creates the window of a rule, or an unused window if there is no rule.
    fileprivate init(_ rule: TripCondition.FailureRate?) { self.init(length: rule?.window.saturatingNanoseconds ?? 0) }

    init(length: Int64) { slidingWindow = SlidingWindow(length: length, count: 10) }

    /// Records a call.
    mutating func record(hasFailed: Bool, now: Int64) {
        slide(to: now)
        let position = slidingWindow.position
        slices[position].calls += 1
        calls += 1
        if hasFailed {
            slices[position].failures += 1
            failures += 1
        }
    }

    private mutating func slide(to now: Int64) {
        let steps = slidingWindow.slide(to: now)
        if steps == 0 { return }
        if steps == slidingWindow.count {
            slices = Array(repeating: Slice(), count: slidingWindow.count)
            (calls, failures) = (0, 0)
            return
        }
        for slice in slidingWindow.newest - Int64(steps) + 1...slidingWindow.newest {
            let position = slidingWindow.position(of: slice)
            calls -= slices[position].calls
            failures -= slices[position].failures
            slices[position] = Slice()
        }
    }
}

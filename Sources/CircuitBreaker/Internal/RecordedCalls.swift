internal import ReliabilityCore

/// The recorded calls of a closed breaker, limited to the needs of its rules.
struct RecordedCalls: Hashable {
    /// A call that ended and counts.
    struct Call: Hashable {
        var hasFailed: Bool
        /// A Boolean value that indicates whether the call was slow, or `nil` if its duration is not known.
        var isSlow: Bool?
    }

    private(set) var consecutiveFailures = 0
    /// The time of the first of the consecutive failures.
    private var firstConsecutiveFailure: Int64 = 0
    private var failureTimes = FailureTimes()
    private var failureRate: RateWindow?
    private var slowCallRate: RateWindow?
    private var slowOrFailedRate: RateWindow?

    init(_ tripCondition: TripCondition) {
        failureRate = tripCondition.failureRate.map { RateWindow($0.window) }
        slowCallRate = tripCondition.slowCallRate.map { RateWindow($0.window) }
        slowOrFailedRate = tripCondition.slowOrFailedRate.map { RateWindow($0.window) }
    }

    /// Returns whether a successful call would change nothing.
    func ignoresSuccesses(_ tripCondition: TripCondition) -> Bool {
        failureRate == nil && tripCondition.slowThreshold == nil
            && (tripCondition.consecutiveFailures == nil || consecutiveFailures == 0)
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
        let anew = RecordedCalls(new)
        if old.failureRate?.window != new.failureRate?.window { failureRate = anew.failureRate }
        let isSameThreshold = old.slowThreshold == new.slowThreshold
        if !isSameThreshold || old.slowCallRate?.window != new.slowCallRate?.window {
            slowCallRate = anew.slowCallRate
        }
        if !isSameThreshold || old.slowOrFailedRate?.window != new.slowOrFailedRate?.window {
            slowOrFailedRate = anew.slowOrFailedRate
        }
    }

    /// Records a call.
    ///
    /// - Parameters:
    ///   - call: The call.
    ///   - running: The number of running slow calls.
    ///   - tripCondition: The rules from the initializer or from the last ``change(from:to:)``.
    ///   - now: The time.
    /// - Returns: `true` if the breaker must open. A success that was not slow opens the breaker only if slow calls run.
    mutating func record(_ call: Call, running: Int, _ tripCondition: TripCondition, now: Int64) -> Bool {
        let hasFailed = call.hasFailed
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
            failureRate?.record(isHit: hasFailed, now: now)
            opens = opens || hasFailed && failureRate.map { $0.counts.meet(rule) } ?? false
        }
        guard let isSlow = call.isSlow else { return opens }
        slowCallRate?.record(isHit: isSlow, now: now)
        slowOrFailedRate?.record(isHit: isSlow || hasFailed, now: now)
        let isEvidence = hasFailed || isSlow || running > 0
        return opens || isEvidence && hasTooManySlowCalls(running: running, tripCondition, now: now)
    }

    /// Returns whether the recorded calls and the running slow calls meet a rule for slow calls.
    mutating func hasTooManySlowCalls(running: Int, _ tripCondition: TripCondition, now: Int64) -> Bool {
        var opens = false
        if let rule = tripCondition.slowCallRate {
            slowCallRate?.slide(to: now)
            opens = slowCallRate.map { $0.counts.adding(running).meet(rule) } ?? false
        }
        if let rule = tripCondition.slowOrFailedRate, !opens {
            slowOrFailedRate?.slide(to: now)
            opens = slowOrFailedRate.map { $0.counts.adding(running).meet(rule) } ?? false
        }
        return opens
    }

    /// Returns the recorded counts at a time.
    func counts(now: Int64) -> (failed: RateWindow.Counts?, slow: RateWindow.Counts?, slowOrFailed: RateWindow.Counts?)
    {
        func counts(_ window: RateWindow?) -> RateWindow.Counts? {
            var window = window
            window?.slide(to: now)
            return window?.counts
        }
        return (counts(failureRate), counts(slowCallRate), counts(slowOrFailedRate))
    }

    /// Returns the number of failures within the window of the rule, or `nil` if there is no such rule.
    func failures(_ tripCondition: TripCondition, now: Int64) -> Int? {
        tripCondition.failures.map { failureTimes.count(now, within: $0.window.saturatingNanoseconds) }
    }
}

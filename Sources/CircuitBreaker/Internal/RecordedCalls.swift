internal import ReliabilityCore

/// The recorded calls of a closed breaker with the rules that count the calls.
struct RecordedCalls: Hashable {
    /// A call that ended and counts.
    struct Call: Hashable {
        var hasFailed: Bool
        /// A Boolean value that indicates whether the call was slow, or `nil` if its duration is not known.
        var isSlow: Bool?
    }

    /// The number of consecutive failures that opens the breaker, or 0 if there is no such rule.
    private let consecutiveLimit: Int
    private let consecutiveDuration: Int64
    /// The number of failures in a window that opens the breaker, or 0 if there is no such rule.
    private let failuresLimit: Int
    private let failuresWindow: Int64

    private(set) var consecutiveFailures = 0
    /// The time of the first of the consecutive failures.
    private var firstConsecutiveFailure: Int64 = 0
    private var failureTimes = FailureTimes()
    private(set) var failureRate: RateWindow
    private(set) var slowCallRate: RateWindow
    private(set) var slowOrFailedRate: RateWindow

    init(_ tripCondition: TripCondition) {
        consecutiveLimit = tripCondition.consecutiveFailures?.count ?? 0
        consecutiveDuration = tripCondition.consecutiveFailures?.duration.saturatingNanoseconds ?? 0
        failuresLimit = tripCondition.failures?.count ?? 0
        failuresWindow = tripCondition.failures?.window.saturatingNanoseconds ?? 0
        failureRate = RateWindow(tripCondition.failureRate)
        slowCallRate = RateWindow(tripCondition.slowCallRate)
        slowOrFailedRate = RateWindow(tripCondition.slowOrFailedRate)
    }

    /// A Boolean value that indicates whether a successful call would change nothing.
    var ignoresSuccesses: Bool {
        consecutiveFailures == 0 && !failureRate.isOn && !slowCallRate.isOn && !slowOrFailedRate.isOn
    }

    /// Adapts the record to other rules.
    ///
    /// A rule that counts the same calls keeps its record.
    mutating func change(from old: TripCondition, to new: TripCondition) {
        var anew = RecordedCalls(new)
        if old.consecutiveFailures != nil, new.consecutiveFailures != nil {
            anew.consecutiveFailures = consecutiveFailures
            anew.firstConsecutiveFailure = firstConsecutiveFailure
        }
        if let limit = new.failures?.count, old.failures?.window == new.failures?.window {
            anew.failureTimes = failureTimes
            anew.failureTimes.keepLast(limit)
        }
        if old.failureRate?.window == new.failureRate?.window { anew.failureRate.keepCalls(of: failureRate) }
        if old.slowThreshold == new.slowThreshold {
            if old.slowCallRate?.window == new.slowCallRate?.window { anew.slowCallRate.keepCalls(of: slowCallRate) }
            if old.slowOrFailedRate?.window == new.slowOrFailedRate?.window {
                anew.slowOrFailedRate.keepCalls(of: slowOrFailedRate)
            }
        }
        self = anew
    }

    /// Records a call.
    ///
    /// - Parameters:
    ///   - call: The call.
    ///   - running: The number of running slow calls.
    ///   - now: The time.
    /// - Returns: `true` if the breaker must open. A success that was not slow opens the breaker only if slow calls run.
    mutating func record(_ call: Call, running: Int, now: Int64) -> Bool {
        let hasFailed = call.hasFailed
        var opens = false
        if consecutiveLimit > 0 {
            if consecutiveFailures == 0 { firstConsecutiveFailure = now }
            consecutiveFailures = hasFailed ? min(consecutiveFailures, .max - 1) + 1 : 0
            let hasLasted = now.saturatingSubtract(firstConsecutiveFailure) >= consecutiveDuration
            opens = hasFailed && consecutiveFailures >= consecutiveLimit && hasLasted
        }
        if hasFailed, failuresLimit > 0 {
            let isFull = failureTimes.record(now, keeping: failuresLimit, within: failuresWindow)
            opens = opens || isFull
        }
        if failureRate.isOn {
            failureRate.record(isHit: hasFailed, now: now)
            opens = opens || hasFailed && failureRate.isMet()
        }
        guard let isSlow = call.isSlow else { return opens }
        if slowCallRate.isOn { slowCallRate.record(isHit: isSlow, now: now) }
        if slowOrFailedRate.isOn { slowOrFailedRate.record(isHit: isSlow || hasFailed, now: now) }
        let isEvidence = hasFailed || isSlow || running > 0
        return opens || isEvidence && hasTooManySlowCalls(running: running, now: now)
    }

    /// Returns whether the recorded calls and the running slow calls meet a rule for slow calls.
    mutating func hasTooManySlowCalls(running: Int, now: Int64) -> Bool {
        if slowCallRate.isOn {
            slowCallRate.slide(to: now)
            if slowCallRate.isMet(adding: running) { return true }
        }
        guard slowOrFailedRate.isOn else { return false }
        slowOrFailedRate.slide(to: now)
        return slowOrFailedRate.isMet(adding: running)
    }

    /// Returns the number of failures in the window at a time.
    func failures(now: Int64) -> Int { failureTimes.count(now, within: failuresWindow) }
}

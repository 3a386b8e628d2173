/// Keeps calls away from a part that failed several times in a row, but for one probe each interval.
package struct FailureGate: Sendable {
    private let threshold: Int
    private let interval: Int64
    private var failures = 0
    private var nextProbe: Int64 = .min

    /// Creates a gate that closes after `threshold` failures in a row and lets one call through each `interval`.
    package init(threshold: Int, interval: Duration) {
        self.threshold = threshold
        self.interval = interval.saturatingNanoseconds
    }

    /// Whether a call may go through now; nanoseconds until one may, when not.
    package mutating func admit(now: Int64) -> Int64? {
        guard failures >= threshold else { return nil }
        let wait = nextProbe.saturatingSubtract(now)
        // A wait longer than the interval comes from a clock that has gone back since.
        if wait > 0, wait <= interval { return wait }
        // A probe that never reports costs one interval, not the gate.
        nextProbe = now.saturatingAdd(interval)
        return nil
    }

    /// Takes note of how a call ended.
    package mutating func record(_ outcome: Outcome, now: Int64) {
        switch outcome {
        case .success: failures = 0
        case .failure:
            failures = min(failures, .max - 1) + 1
            if failures >= threshold { nextProbe = now.saturatingAdd(interval) }
        case .ignored: break
        }
    }
}

package import ReliabilityCore

/// A circuit breaker that opens after a number of failures in a row and admits one probe in each interval.
package struct StoreBreakerStateMachine: Sendable {
    private let threshold: Int
    private let probeInterval: Int64
    private var consecutiveFailures = 0
    private var nextProbeAt: Int64 = .min

    private var isOpen: Bool { consecutiveFailures >= threshold }

    /// Creates a closed breaker.
    ///
    /// - Parameters:
    ///   - threshold: The number of failures in a row that opens the breaker.
    ///   - interval: The time between two probes of an open breaker.
    package init(threshold: Int, interval: Duration) {
        self.threshold = threshold
        probeInterval = interval.saturatingNanoseconds
    }

    /// Admits or rejects a call.
    ///
    /// - Returns: The nanoseconds until the next probe, or `nil` if the call is admitted.
    package mutating func admit(now: Int64) -> Int64? {
        guard isOpen else { return nil }
        let wait = nextProbeAt.saturatingSubtract(now)
        // A wait longer than the interval means that the clock has moved backward.
        if wait > 0, wait <= probeInterval { return wait }
        // A probe that never reports an outcome delays the next probe by one interval.
        nextProbeAt = now.saturatingAdd(probeInterval)
        return nil
    }

    /// Records the outcome of an admitted call.
    ///
    /// A success closes the breaker.
    package mutating func record(_ outcome: Outcome, now: Int64) {
        switch outcome {
        case .success: consecutiveFailures = 0
        case .failure:
            consecutiveFailures = min(consecutiveFailures, .max - 1) + 1
            if isOpen { nextProbeAt = now.saturatingAdd(probeInterval) }
        case .ignored: break
        }
    }
}

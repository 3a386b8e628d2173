internal import ReliabilityCore

extension BreakerStateMachine {
    /// Returns the state at a time.
    func state(now: Int64) -> Breaker.State {
        if forcedOpen > 0 { return .forcedOpen }
        if forcedClosed > 0 { return .forcedClosed }
        switch phase {
        case .closed: return .closed
        case .ramping(let ramp):
            if ramp.remaining(at: now) == 0 { return .closed }
            return .ramping(admittedShare: ramp.share(at: now, from: configuration.rampStart))
        case .open(let period): return .open(remaining: .nanoseconds(period.remaining(at: now)))
        case .halfOpen: return .halfOpen
        }
    }

    /// Returns the state and the counters at a time.
    func snapshot(now: Int64) -> Breaker.Snapshot {
        func counts(_ window: RateWindow) -> Breaker.Snapshot.Counts? {
            guard window.isOn else { return nil }
            var window = window
            window.slide(to: now)
            return Breaker.Snapshot.Counts(calls: window.counts.calls, hits: window.counts.hits)
        }
        var running = runningCalls
        running.slide(to: now)
        let rules = configuration.tripCondition
        return Breaker.Snapshot(
            state: state(now: now),
            generation: generation,
            consecutiveFailures: rules.consecutiveFailures == nil ? nil : recordedCalls.consecutiveFailures,
            failures: rules.failures == nil ? nil : recordedCalls.failures(now: now),
            failureRate: counts(recordedCalls.failureRate),
            slowCallRate: counts(recordedCalls.slowCallRate),
            slowOrFailedRate: counts(recordedCalls.slowOrFailedRate),
            runningSlowCalls: running.isOn ? running.slow : nil,
            runningProbes: probing.probes.count,
            successfulProbes: probing.successes,
            failedProbes: probing.failures,
            rejectedCalls: rejections,
            forcedOpenCount: forcedOpen,
            forcedClosedCount: forcedClosed,
            isDryRun: configuration.isDryRun
        )
    }
}

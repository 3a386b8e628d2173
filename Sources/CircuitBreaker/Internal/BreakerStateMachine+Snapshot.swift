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
        func counts(_ counts: RateWindow.Counts?) -> Breaker.Snapshot.Counts? {
            counts.map { Breaker.Snapshot.Counts(calls: $0.calls, hits: $0.hits) }
        }
        var running = runningCalls
        running?.slide(to: now)
        let recorded = recordedCalls.counts(now: now)
        return Breaker.Snapshot(
            state: state(now: now),
            generation: generation,
            consecutiveFailures: configuration.tripCondition.consecutiveFailures.map { _ in
                recordedCalls.consecutiveFailures
            },
            failures: recordedCalls.failures(configuration.tripCondition, now: now),
            failureRate: counts(recorded.failed),
            slowCallRate: counts(recorded.slow),
            slowOrFailedRate: counts(recorded.slowOrFailed),
            runningSlowCalls: running?.slow,
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

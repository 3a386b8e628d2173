internal import ReliabilityCore

extension BreakerStateMachine {
    /// Replaces the configuration.
    ///
    /// The phase and its generation stay, so that existing permits take effect. No wait becomes longer than under the
    /// new configuration. The recorded calls are kept if the new rule counts the same calls.
    ///
    /// - Parameters:
    ///   - shared: The new configuration.
    ///   - now: The time.
    /// - Returns: The event of a half-open breaker that closes because enough probes for the new number have succeeded.
    mutating func reload(_ shared: SharedConfiguration, now: Int64) -> BreakerEvent? {
        let (old, new) = (configuration, shared.value)
        recordedCalls.change(from: old.tripCondition, to: new.tripCondition)
        if old.tripCondition.slowThreshold != new.tripCondition.slowThreshold {
            // The calls that run now count as slow only at their end, because their slices have another width.
            runningCalls = RunningCalls(
                threshold: new.tripCondition.slowThreshold?.saturatingNanoseconds,
                after: max(now, runningCalls.latest)
            )
        }
        self.shared = shared
        switch phase {
        case .closed: break
        case .ramping(var ramp):
            ramp.shorten(toAtMost: new.rampDuration.saturatingNanoseconds, from: now)
            phase = .ramping(ramp)
        case .open(var period):
            var longest = new.openLength(growth: growth)
            if isOpenOnHint, let limit = new.maxRetryAfter { longest = limit.saturatingNanoseconds }
            period.shorten(toAtMost: new.lengthened(longest), from: now)
            phase = .open(period)
        case .halfOpen:
            if hasEnoughSuccesses { return close(now) }
            // A reload does not open the breaker, and the next failed probe does.
            probing.limitFailures(to: new.toleratedProbeFailures)
            // Only a shorter lease shortens the leases, because they may have been doubled for a slow dependency.
            if new.lease < old.lease { probing.shortenLeases(toAtMost: new.lease, now: now) }
        }
        return nil
    }
}

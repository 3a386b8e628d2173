internal import ReliabilityCore

/// The behavior of a circuit breaker without clock and locks.
///
/// Every time is a clock reading in nanoseconds, and every duration is a number of nanoseconds.
struct BreakerStateMachine: Hashable {
    enum Phase: Hashable {
        case closed
        /// A closed breaker that does not admit every call yet.
        case ramping(Ramp)
        case open(WaitPeriod)
        case halfOpen
    }

    enum Admission: Hashable {
        case admitted(BreakerTicket)
        /// The wait is `nil` if its end is not known.
        case rejected(wait: Int64?)
    }

    var phase = Phase.closed
    /// The number of the current phase, outside of which its permits have no effect.
    ///
    /// A ramp and the closed phase after the ramp have the same number.
    var generation: UInt64 = 1
    /// The configuration, which the breakers of a registry share.
    var shared: SharedConfiguration
    var recordedCalls: RecordedCalls
    /// The running calls, which are counted only for rules for slow calls.
    var runningCalls: RunningCalls
    /// The probes of a half-open breaker.
    var probing = Probing(lease: 0)
    /// The factor by which the open time has grown.
    var growth = 1.0
    /// A Boolean value that indicates whether the open time is the `retryAfter` of an error.
    var isOpenOnHint = false
    /// The numbers of unreleased overrides.
    var (forcedOpen, forcedClosed) = (0, 0)
    /// The number of rejected calls, or of calls that a dry run would have rejected.
    var rejections: UInt64 = 0
    /// The state of the random numbers for jitter.
    var random: UInt64

    var configuration: Breaker.Configuration { shared.value }
    private var slowThreshold: Int64? { configuration.tripCondition.slowThreshold?.saturatingNanoseconds }

    init(_ shared: SharedConfiguration, seed: UInt64 = 0) {
        self.shared = shared
        random = seed
        let tripCondition = shared.value.tripCondition
        recordedCalls = RecordedCalls(tripCondition)
        runningCalls = RunningCalls(threshold: tripCondition.slowThreshold?.saturatingNanoseconds)
    }

    /// Returns twice the generation of the admitted calls, plus 1 if a success would change nothing.
    ///
    /// The value is 0 unless every call is admitted without a change of the state machine.
    // Mutating, because the compiler copies the state machine for a method that is not.
    mutating func fastPathState() -> UInt64 {
        if forcedOpen > 0 { return 0 }
        if forcedClosed > 0 { return BreakerTicket.uncounted.generation << 1 | 1 }
        if !isClosed || runningCalls.isOn { return 0 }
        return generation << 1 | (recordedCalls.ignoresSuccesses ? 1 : 0)
    }

    private var isClosed: Bool { if case .closed = phase { true } else { false } }

    /// Admits or rejects a call.
    ///
    /// - Parameters:
    ///   - now: The time.
    ///   - probe: The ticket of the enclosing probe, or `nil` if the call is not part of a probe. Evaluated only for a
    ///     half-open breaker.
    /// - Returns: The change of phase and the admission.
    mutating func admit(now: Int64, partOf probe: @autoclosure () -> BreakerTicket? = nil) -> (BreakerEvent?, Admission)
    {
        if forcedOpen > 0 {
            rejections &+= 1
            return (nil, .rejected(wait: nil))
        }
        if forcedClosed > 0 { return (nil, .admitted(.uncounted)) }
        let (event, admission) = decide(now, probe)
        guard case .rejected = admission else { return (event, admission) }
        rejections &+= 1
        return (event, configuration.isDryRun ? .admitted(.uncounted) : admission)
    }

    private mutating func decide(_ now: Int64, _ probe: () -> BreakerTicket?) -> (BreakerEvent?, Admission) {
        endRamp(now)
        switch phase {
        case .closed:
            return admitCall(now)
        case .ramping(var ramp):
            if let event = openForRunningCalls(now) { return (event, .rejected(wait: openWait(now))) }
            let wait = ramp.wait(now: now, from: configuration.rampStart)
            phase = .ramping(ramp)
            if wait > 0 { return (nil, .rejected(wait: wait)) }
            return admitCall(now)
        case .open(var period):
            let wait = period.correctedRemaining(at: now)
            phase = .open(period)
            if wait > 0 { return (nil, .rejected(wait: wait)) }
            generation &+= 1
            phase = .halfOpen
            probing = Probing(lease: configuration.lease)
            return (.halfOpened(generation: generation), admitProbe(now))
        case .halfOpen:
            let lost = probing.removeLost(now: now)
            let event = lost > 0 ? BreakerEvent.probesLost(generation: generation, count: lost) : nil
            // Otherwise a part of a probe would wait for a place that only the end of the probe releases.
            if let probe = probe(), probe.generation == generation, probing.isRunning(probe.mark) {
                let part = BreakerTicket(generation: generation, role: .partOfProbe, mark: probe.mark)
                return (event, .admitted(part))
            }
            return (event, admitProbe(now))
        }
    }

    private mutating func admitCall(_ now: Int64) -> (BreakerEvent?, Admission) {
        if let event = openForRunningCalls(now) { return (event, .rejected(wait: openWait(now))) }
        guard runningCalls.isOn else {
            return (nil, .admitted(BreakerTicket(generation: generation, role: .call)))
        }
        let start = runningCalls.begin(now: now)
        return (nil, .admitted(BreakerTicket(generation: generation, role: .timedCall, mark: start)))
    }

    private mutating func admitProbe(_ now: Int64) -> Admission {
        guard let number = probing.admit(configuration, now: now) else {
            return .rejected(wait: max(1, probing.wait(now: now)))
        }
        return .admitted(BreakerTicket(generation: generation, role: .probe, mark: number))
    }

    /// Opens a breaker with too many slow calls that are still running.
    private mutating func openForRunningCalls(_ now: Int64) -> BreakerEvent? {
        guard runningCalls.isOn else { return nil }
        runningCalls.slide(to: now)
        guard runningCalls.slow > 0, recordedCalls.hasTooManySlowCalls(running: runningCalls.slow, now: now) else {
            return nil
        }
        return open(now)
    }

    private func openWait(_ now: Int64) -> Int64 {
        if case .open(let period) = phase { period.remaining(at: now) } else { 0 }
    }

    /// Settles a permit, or a part of a probe that failed or whose dependency asked for no calls.
    ///
    /// The caller does not settle a part of a probe that succeeds, because the success of the probe includes its parts.
    ///
    /// - Parameters:
    ///   - outcome: The reported outcome.
    ///   - ticket: The ticket of the call.
    ///   - retryAfter: The time for which the dependency asked for no calls, or `nil` if the dependency did not ask.
    ///   - now: The time.
    /// - Returns: The change of phase, or `nil` if the phase stays.
    mutating func settle(
        _ outcome: Outcome,
        _ ticket: BreakerTicket,
        retryAfter: Int64? = nil,
        now: Int64
    ) -> BreakerEvent? {
        guard ticket.generation == generation else { return nil }
        endRamp(now)
        switch phase {
        case .closed, .ramping:
            let isTimed = ticket.role == .timedCall && runningCalls.isOn
            let isSlow = isTimed ? runningCalls.end(start: ticket.mark, now: now) : nil
            if let event = openOnHint(retryAfter, now) { return event }
            if outcome == .ignored { return nil }
            let call = RecordedCalls.Call(hasFailed: outcome == .failure, isSlow: isSlow)
            return recordedCalls.record(call, running: runningCalls.slow, now: now) ? open(now) : nil
        case .open:
            // The generation of an open phase admits no calls.
            return nil
        case .halfOpen:
            let lost = probing.removeLost(now: now)
            if probing.isRunning(ticket.mark) {
                // Only the failure of a part ends its probe.
                if ticket.role == .probe || outcome == .failure {
                    probing.settle(ticket.mark, outcome, slowerThan: slowThreshold, now: now)
                }
                if let event = openOnHint(retryAfter, now) { return event }
                if probing.failures > configuration.toleratedProbeFailures { return open(now) }
                if hasEnoughSuccesses { return close(now) }
            }
            return lost > 0 ? .probesLost(generation: generation, count: lost) : nil
        }
    }

    /// Adds or removes handles that force the breaker.
    ///
    /// - Returns: The event if another kind of handle takes effect.
    mutating func override(opens: Bool, by change: Int) -> BreakerEvent? {
        let before = forcedState
        if opens { forcedOpen += change } else { forcedClosed += change }
        if forcedState == before { return nil }
        return forcedState.map { .forced(open: $0) } ?? .released
    }

    /// A Boolean value that indicates whether the breaker is forced open or forced closed, or `nil` if it decides.
    private var forcedState: Bool? { forcedOpen > 0 ? true : forcedClosed > 0 ? false : nil }

    /// A Boolean value that indicates whether the probes that may still run cannot exceed the tolerated failures.
    var hasEnoughSuccesses: Bool {
        probing.successes >= configuration.probes - configuration.toleratedProbeFailures
    }

    private mutating func openOnHint(_ retryAfter: Int64?, _ now: Int64) -> BreakerEvent? {
        guard let retryAfter, retryAfter > 0, let limit = configuration.maxRetryAfter?.saturatingNanoseconds else {
            return nil
        }
        return open(now, hint: min(retryAfter, limit))
    }

    private mutating func open(_ now: Int64, hint: Int64? = nil) -> BreakerEvent {
        // The breaker has not recovered from the last failure.
        if !isClosed { growth = min(growth * configuration.openDurationFactor, 1e18) }
        generation &+= 1
        let shortest = hint ?? configuration.openLength(growth: growth)
        let length = shortest.saturatingAdd(randomNumber(upTo: configuration.lengthened(shortest) - shortest))
        isOpenOnHint = hint != nil
        phase = .open(WaitPeriod(length, from: now))
        probing = Probing(lease: 0)
        recordedCalls = RecordedCalls(configuration.tripCondition)
        runningCalls = RunningCalls(threshold: slowThreshold)
        return .opened(generation: generation, for: .nanoseconds(length))
    }

    mutating func close(_ now: Int64) -> BreakerEvent {
        generation &+= 1
        probing = Probing(lease: 0)
        let length = configuration.rampDuration.saturatingNanoseconds
        if length > 0 {
            phase = .ramping(Ramp(length: length, share: configuration.rampStart, from: now))
        } else {
            recover()
        }
        return .closed(generation: generation)
    }

    /// Closes a breaker whose ramp has ended, before the end of the ramp changes the meaning of a call.
    private mutating func endRamp(_ now: Int64) {
        if case .ramping(let ramp) = phase, ramp.remaining(at: now) == 0 { recover() }
    }

    private mutating func recover() {
        growth = 1
        phase = .closed
    }

    /// Returns a random number from 0 to a limit.
    private mutating func randomNumber(upTo limit: Int64) -> Int64 {
        if limit <= 0 { return 0 }
        // SplitMix64, because a generator of the user must not run under the lock of the breaker.
        random &+= 0x9E37_79B9_7F4A_7C15
        var bits = random
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        bits ^= bits >> 31
        return Int64(bits.multipliedFullWidth(by: UInt64(limit) + 1).high)
    }
}

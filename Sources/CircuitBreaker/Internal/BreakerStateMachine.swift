internal import ReliabilityCore

/// The role of a call in a breaker.
@usableFromInline
enum BreakerRole: Hashable, Sendable {
    /// A call through a closed breaker.
    case call
    /// A call that decides the state of a half-open breaker.
    case probe
    /// A call inside a probe, which shares the place of the probe.
    case partOfProbe
}

/// The behavior of a circuit breaker without clock and locks.
///
/// Every time is a clock reading in nanoseconds, and every duration is a number of nanoseconds.
struct BreakerStateMachine: Hashable {
    enum Phase: Hashable {
        case closed
        case open(WaitPeriod)
        case halfOpen(Probing)
    }

    /// The probes of a half-open breaker.
    struct Probing: Hashable {
        var inFlight = 1
        var successes = 0
        /// The time after which another call can replace the probes.
        var lease: WaitPeriod
    }

    enum Admission: Hashable {
        case admitted(generation: UInt64, BreakerRole)
        case rejected(wait: Int64)
    }

    private(set) var phase = Phase.closed
    /// The number of the current phase, outside of which its permits have no effect.
    private(set) var generation: UInt64 = 1
    private(set) var configuration: Breaker.Configuration
    private var recordedCalls: RecordedCalls

    private var tripCondition: TripCondition { configuration.tripCondition }
    private var openDuration: Int64 { configuration.openDuration.saturatingNanoseconds }
    private var probes: Int { configuration.probes }

    init(_ configuration: Breaker.Configuration) {
        self.configuration = configuration
        recordedCalls = RecordedCalls(configuration.tripCondition)
    }

    /// A Boolean value that indicates whether a success of a call that is admitted now changes nothing.
    var ignoresSuccesses: Bool { phase == .closed && recordedCalls.ignoresSuccesses(tripCondition) }

    /// Replaces the configuration.
    ///
    /// The phase and its generation stay, so that existing permits take effect. An open breaker stays open for at most
    /// the new open duration. The recorded calls are kept if the new rule counts the same calls.
    ///
    /// - Parameters:
    ///   - new: The new configuration.
    ///   - now: The time.
    /// - Returns: The event of a half-open breaker that closes because enough probes for the new number have succeeded.
    mutating func reload(_ new: Breaker.Configuration, now: Int64) -> BreakerEvent? {
        recordedCalls.change(from: tripCondition, to: new.tripCondition)
        let isShorter = new.openDuration < configuration.openDuration
        configuration = new
        switch phase {
        case .closed: return nil
        case .open(var period):
            period.shorten(toAtMost: openDuration, from: now)
            phase = .open(period)
            return nil
        case .halfOpen(var probing):
            if probing.successes >= probes { return close() }
            // Only a shorter duration shortens the lease, because the lease may have been doubled for a slow
            // dependency.
            if isShorter { probing.lease.shorten(toAtMost: openDuration, from: now) }
            phase = .halfOpen(probing)
            return nil
        }
    }

    func state(now: Int64) -> Breaker.State {
        switch phase {
        case .closed: .closed
        case .open(let period): .open(remaining: .nanoseconds(period.remaining(at: now)))
        case .halfOpen: .halfOpen
        }
    }

    /// Admits or rejects a call.
    ///
    /// - Parameters:
    ///   - now: The time.
    ///   - probe: The generation of the enclosing probe, or `nil` if the call is not part of a probe. Evaluated only
    ///     for a half-open breaker.
    /// - Returns: The change of phase and the admission.
    mutating func admit(now: Int64, partOf probe: @autoclosure () -> UInt64? = nil) -> (BreakerEvent?, Admission) {
        switch phase {
        case .closed:
            return (nil, .admitted(generation: generation, .call))
        case .open(var period):
            let wait = period.correctedRemaining(at: now)
            phase = .open(period)
            return wait > 0 ? (nil, .rejected(wait: wait)) : beginProbing(lease: openDuration, now)
        case .halfOpen(var probing):
            // Otherwise a probe would wait for a place that only its own end releases.
            if probe() == generation { return (nil, .admitted(generation: generation, .partOfProbe)) }
            if probing.inFlight + probing.successes < probes {
                probing.inFlight += 1
                // The last admitted probe has the whole lease for its answer.
                probing.lease = WaitPeriod(probing.lease.length, from: now)
                phase = .halfOpen(probing)
                return (nil, .admitted(generation: generation, .probe))
            }
            let wait = probing.lease.correctedRemaining(at: now)
            phase = .halfOpen(probing)
            if wait > 0 { return (nil, .rejected(wait: wait)) }
            // The probes are lost or slow. With a constant lease, each answer of a slow dependency would arrive one
            // generation too late. Doubling gives such an answer the time to count.
            return beginProbing(lease: probing.lease.length.saturatingMultiply(2), now)
        }
    }

    /// Settles a permit, or the failure of a part of a probe.
    ///
    /// The caller does not settle a part of a probe that succeeds, because the success of the probe includes its parts.
    ///
    /// - Parameters:
    ///   - outcome: The reported outcome.
    ///   - permitGeneration: The generation that admitted the call.
    ///   - now: The time.
    /// - Returns: The change of phase, or `nil` if the phase stays.
    mutating func settle(_ outcome: Outcome, generation permitGeneration: UInt64, now: Int64) -> BreakerEvent? {
        guard permitGeneration == generation else { return nil }
        switch phase {
        case .closed:
            return recordedCalls.record(outcome, tripCondition, now: now) ? open(now) : nil
        case .open:
            // The generation of an open phase admits no calls.
            return nil
        case .halfOpen(var probing):
            probing.inFlight -= 1
            switch outcome {
            case .failure: return open(now)
            case .success: probing.successes += 1
            case .ignored: break
            }
            if probing.successes >= probes { return close() }
            phase = .halfOpen(probing)
            return nil
        }
    }

    private mutating func beginProbing(lease: Int64, _ now: Int64) -> (BreakerEvent?, Admission) {
        generation &+= 1
        phase = .halfOpen(Probing(lease: WaitPeriod(lease, from: now)))
        return (.halfOpened(generation: generation), .admitted(generation: generation, .probe))
    }

    private mutating func open(_ now: Int64) -> BreakerEvent {
        generation &+= 1
        phase = .open(WaitPeriod(openDuration, from: now))
        recordedCalls = RecordedCalls(tripCondition)
        return .opened(generation: generation, for: .nanoseconds(openDuration))
    }

    private mutating func close() -> BreakerEvent {
        generation &+= 1
        phase = .closed
        return .closed(generation: generation)
    }
}

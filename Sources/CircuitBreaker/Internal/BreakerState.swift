internal import ReliabilityCore

/// What a call is to a breaker.
@usableFromInline
enum BreakerRole: Hashable, Sendable {
    /// A call through a closed breaker.
    case call
    /// A call for whose outcome a half-open breaker waits.
    case probe
    /// A call that a probe makes; it needs no place of its own.
    case partOfProbe
}

/// The whole behaviour of a circuit breaker, without clock and locks.
struct BreakerState: Hashable {
    enum Phase: Hashable {
        case closed
        case open(Countdown)
        case halfOpen(Probing)
    }

    /// A half-open breaker's calls.
    struct Probing: Hashable {
        var inFlight = 1
        var successes = 0
        /// How long the last admitted call holds its place against others.
        var lease: Countdown
    }

    enum Admission: Hashable {
        case admitted(generation: UInt64, BreakerRole)
        case refused(wait: Int64)
    }

    private(set) var phase = Phase.closed
    /// Grows with every change of phase; a permit has effect in its own generation only.
    private(set) var generation: UInt64 = 1
    private(set) var configuration: BreakerConfiguration
    private var history: CallHistory

    private var trip: BreakerTrip { configuration.trip }
    private var openFor: Int64 { configuration.openFor.saturatingNanoseconds }
    private var probes: Int { configuration.probes }

    init(_ configuration: BreakerConfiguration) {
        self.configuration = configuration
        history = CallHistory(configuration.trip)
    }

    /// Whether a call that is admitted now and succeeds leaves everything as it is.
    var isAtRest: Bool { phase == .closed && history.isSuccessOfNoConsequence(trip) }

    /// Goes on under another configuration.
    ///
    /// The phase and its generation stay, so permits are honoured; what is open stays open, no longer than it would by
    /// the new configuration. What was remembered of calls is kept where the new rule counts the same calls.
    ///
    /// - Parameters:
    ///   - new: The configuration.
    ///   - now: The time.
    /// - Returns: The change of phase: a half-open breaker closes if enough probes have succeeded by the new count.
    mutating func reload(_ new: BreakerConfiguration, now: Int64) -> BreakerEvent? {
        history.change(from: trip, to: new.trip)
        let isShorter = new.openFor < configuration.openFor
        configuration = new
        switch phase {
        case .closed: return nil
        case .open(var countdown):
            countdown.clamp(to: openFor, now)
            phase = .open(countdown)
            return nil
        case .halfOpen(var probing):
            if probing.successes >= probes { return close() }
            // A lease that has been doubled for a slow dependency is cut by a shorter time, not by the one it grew from.
            if isShorter { probing.lease.clamp(to: openFor, now) }
            phase = .halfOpen(probing)
            return nil
        }
    }

    func status(now: Int64) -> Breaker.State {
        switch phase {
        case .closed: .closed
        case .open(let countdown): .open(remaining: .nanoseconds(countdown.left(at: now)))
        case .halfOpen: .halfOpen
        }
    }

    /// A caller asks to make a call.
    ///
    /// - Parameters:
    ///   - now: The time.
    ///   - probe: The generation of the probe that the call is a part of, or `nil` if it is a part of none; asked only if
    ///     that matters.
    /// - Returns: The answer; and the change of phase that came with it, if one did.
    mutating func admit(now: Int64, partOf probe: @autoclosure () -> UInt64? = nil) -> (Admission, BreakerEvent?) {
        switch phase {
        case .closed:
            return (.admitted(generation: generation, .call), nil)
        case .open(var countdown):
            let wait = countdown.tick(now)
            phase = .open(countdown)
            return wait > 0 ? (.refused(wait: wait), nil) : beginProbing(lease: openFor, now)
        case .halfOpen(var probing):
            // If the probe waits for a place that only its own end gives back, it never succeeds.
            if probe() == generation { return (.admitted(generation: generation, .partOfProbe), nil) }
            if probing.inFlight + probing.successes < probes {
                probing.inFlight += 1
                probing.lease = Countdown(probing.lease.length, from: now)
                phase = .halfOpen(probing)
                return (.admitted(generation: generation, .probe), nil)
            }
            let wait = probing.lease.tick(now)
            phase = .halfOpen(probing)
            if wait > 0 { return (.refused(wait: wait), nil) }
            // The probes are lost, or only slow. Doubling gives a slow dependency the time to be heard: with the same
            // lease again and again, each of its answers would come a generation too late.
            return beginProbing(lease: probing.lease.length.saturatingMultiply(2), now)
        }
    }

    /// A permit's life ended, or a part of a probe failed.
    ///
    /// A part of a probe is not settled otherwise: the probe's success is that of all its parts.
    ///
    /// - Parameters:
    ///   - outcome: What it reported.
    ///   - permitGeneration: The generation in which it was given out.
    ///   - now: The time.
    /// - Returns: The change of phase, if there was one.
    mutating func settle(_ outcome: Outcome, generation permitGeneration: UInt64, now: Int64) -> BreakerEvent? {
        guard permitGeneration == generation else { return nil }
        switch phase {
        case .closed:
            return history.record(outcome, trip, now: now) ? open(now) : nil
        case .open:
            // No permit is of such a generation.
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

    private mutating func beginProbing(lease: Int64, _ now: Int64) -> (Admission, BreakerEvent?) {
        generation &+= 1
        phase = .halfOpen(Probing(lease: Countdown(lease, from: now)))
        return (.admitted(generation: generation, .probe), .halfOpened(generation: generation))
    }

    private mutating func open(_ now: Int64) -> BreakerEvent {
        generation &+= 1
        phase = .open(Countdown(openFor, from: now))
        history = CallHistory(trip)
        return .opened(generation: generation, for: .nanoseconds(openFor))
    }

    private mutating func close() -> BreakerEvent {
        generation &+= 1
        phase = .closed
        return .closed(generation: generation)
    }
}

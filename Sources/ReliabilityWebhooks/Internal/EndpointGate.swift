internal import ReliabilityCore

/// The attempts of an endpoint at the same time, its failures in a row and its quarantine.
///
/// A message that must wait returns to the store. The gate spreads the waits over the time that the endpoint needs, so
/// that many waiting messages do not return together.
struct EndpointGate {
    /// The limits of all gates of a sender.
    struct Limits {
        let permits: Int
        let failuresBeforeQuarantine: Int
        let probeInterval: Int64
    }

    /// The decision about a message.
    enum Admission: Hashable {
        /// An attempt, which ends with a call of ``release()`` and of ``succeed(after:)``, ``fail(isProbe:slow:_:now:)``
        /// or ``cancel(isProbe:)``.
        case attempt(isProbe: Bool)
        /// Another decision after this time.
        case wait(Duration)
    }

    /// The longest spread of the waits in nanoseconds.
    private static let maxSpread: Int64 = 60_000_000_000

    /// The number of attempts that have not ended.
    private(set) var running = 0
    /// The number of failures since the last success.
    private(set) var failures = 0
    /// The instant of the next probe, or `nil` if the endpoint is not in quarantine.
    private(set) var probeAt: Int64?
    private var isProbing = false
    /// The instant before which the endpoint asked for no attempt.
    private var slowUntil = Int64.min
    /// The typical duration of an attempt.
    private var typicalDuration: Int64 = 1_000_000_000
    /// The instant to which the last waiting message returns.
    private var lastReturn = Int64.min

    /// A Boolean value that indicates whether a new gate would decide in the same way.
    func isIdle(now: Int64) -> Bool {
        running == 0 && failures == 0 && probeAt == nil && slowUntil <= now && lastReturn <= now
    }

    /// Begins with a quarantine that an earlier process began, whose first probe is due.
    mutating func adoptQuarantine(now: Int64) { probeAt = now }

    mutating func admit(_ limits: Limits, now: Int64, random: RandomSource) -> Admission {
        let isQuarantined = probeAt != nil
        if earliest > now || isProbing || running >= (isQuarantined ? 1 : limits.permits) {
            return .wait(wait(limits, now: now, random: random))
        }
        running += 1
        isProbing = isQuarantined
        return .attempt(isProbe: isQuarantined)
    }

    /// The earliest instant of the next attempt.
    private var earliest: Int64 { max(slowUntil, probeAt ?? .min) }

    /// Returns the time after which the message of a failed probe returns, behind all messages that wait.
    ///
    /// The message may fail for a reason of its own, so another message is the next probe.
    func waitAfterProbe(now: Int64) -> Duration {
        .nanoseconds(earliest.saturatingSubtract(now).saturatingAdd(Self.maxSpread))
    }

    private mutating func wait(_ limits: Limits, now: Int64, random: RandomSource) -> Duration {
        let earliest = max(earliest, now)
        // Twice the rate of the endpoint, because some messages return while all permits are taken.
        let spacing = max(1_000_000, typicalDuration / Int64(2 * limits.permits))
        let next = max(lastReturn, earliest).saturatingAdd(spacing)
        let latest = earliest.saturatingAdd(Self.maxSpread)
        if next > latest {
            return .nanoseconds(latest - now - random.next(upTo: Self.maxSpread / 2))
        }
        lastReturn = next
        return .nanoseconds(next - now)
    }

    /// Records that the transport has returned.
    mutating func release() { running -= 1 }

    /// Records a success.
    ///
    /// - Returns: `true` if the success ended a quarantine.
    mutating func succeed(after duration: Int64) -> Bool {
        typicalDuration += (duration - typicalDuration) / 8
        let wasQuarantined = probeAt != nil
        (failures, probeAt, isProbing, slowUntil) = (0, nil, false, .min)
        return wasQuarantined
    }

    /// Records a failure.
    ///
    /// - Returns: `true` if the failure began a quarantine.
    mutating func fail(isProbe: Bool, slow: Duration?, _ limits: Limits, now: Int64) -> Bool {
        failures = min(failures, .max - 1) + 1
        if let slow { slowUntil = max(slowUntil, now.saturatingAdd(slow.saturatingNanoseconds)) }
        if isProbe { isProbing = false }
        let begins = probeAt == nil && failures >= limits.failuresBeforeQuarantine
        if isProbe || begins { probeAt = now.saturatingAdd(limits.probeInterval) }
        return begins
    }

    /// Records an attempt without a result.
    mutating func cancel(isProbe: Bool) {
        if isProbe { isProbing = false }
    }
}

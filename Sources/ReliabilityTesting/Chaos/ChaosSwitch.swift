internal import ReliabilityCore

/// A switch that turns chaos on for a limited time.
///
/// ```swift
/// let chaos = ChaosSwitch()
/// chaos.arm(for: .seconds(60))
/// ```
///
/// Arming always sets an end, so chaos cannot stay on by mistake. Share a switch among all chaos policies of a service.
public final class ChaosSwitch: Sendable {
    let timeSource: TimeSource
    private let armedUntil = Lock(Int64.min)

    /// Creates a switch that is off.
    ///
    /// - Parameter clock: The clock for the armed time and for the delays of the policies with this switch. Defaults to
    ///   `ContinuousClock`.
    public init(clock: some Clock<Duration> = ContinuousClock()) { timeSource = TimeSource(clock) }

    /// Turns chaos on for a duration from now.
    ///
    /// The new end replaces the end set by an earlier call.
    ///
    /// - Parameter duration: The duration.
    /// - Precondition: `duration` is positive and at most a day.
    public func arm(for duration: Duration) {
        requireValid(
            duration > .zero && duration <= .seconds(86_400),
            "duration must be positive and at most a day (is \(duration))"
        )
        let end = timeSource.instant(after: duration)
        armedUntil.withLock { $0 = end }
    }

    /// Turns chaos off.
    ///
    /// A call that already waits for a delay or a hang still waits as long as before.
    public func disarm() { armedUntil.withLock { $0 = .min } }

    /// A Boolean value that indicates whether chaos is on.
    public var isArmed: Bool { end != nil }

    /// The remaining time of chaos, or zero if chaos is off.
    public var remaining: Duration {
        .nanoseconds(max(0, armedUntil.withLock { $0 }.saturatingSubtract(timeSource.now)))
    }

    /// The instant at which chaos ends, or `nil` if chaos is off.
    var end: Int64? {
        let end = armedUntil.withLock { $0 }
        return end > timeSource.now ? end : nil
    }
}

internal import ReliabilityCore

/// Turns chaos on, for a time; it is off otherwise.
///
/// ```swift
/// let chaos = ChaosSwitch()
/// chaos.arm(for: .seconds(60))
/// ```
///
/// Nothing leaves it on: arming it says when it ends. Share one among all chaos policies of a service.
public final class ChaosSwitch: Sendable {
    let timeSource: TimeSource
    private let armedUntil = Lock(Int64.min)

    /// Creates a switch that is off.
    ///
    /// - Parameter clock: Measures how long it is on, and the delays of the policies that ask it.
    public init(clock: some Clock<Duration> = ContinuousClock()) { timeSource = TimeSource(clock) }

    /// Turns chaos on, for a time from now on, instead of what an earlier call said.
    ///
    /// - Parameter duration: How long.
    /// - Precondition: `duration` is positive and at most a day.
    public func arm(for duration: Duration) {
        requireValid(
            duration > .zero && duration <= .seconds(86_400),
            "chaos is armed for a positive time of a day at most (is \(duration))"
        )
        let end = timeSource.instant(after: duration)
        armedUntil.withLock { $0 = end }
    }

    /// Turns chaos off.
    ///
    /// Calls that hang or are late already stay so until the time ends for which it was armed.
    public func disarm() { armedUntil.withLock { $0 = .min } }

    /// Whether chaos is on.
    public var isArmed: Bool { end != nil }

    /// How long chaos stays on; zero when it is off.
    public var remaining: Duration {
        .nanoseconds(max(0, armedUntil.withLock { $0 }.saturatingSubtract(timeSource.now)))
    }

    /// The instant at which chaos ends; nil when it is off.
    var end: Int64? {
        let end = armedUntil.withLock { $0 }
        return end > timeSource.now ? end : nil
    }
}

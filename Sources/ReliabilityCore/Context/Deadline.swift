/// The instant by which the work of the current task must end.
///
/// A deadline applies to a call and to every task that the call starts. `withTimeout` begins a call with a deadline. If
/// calls nest, the earliest deadline applies. Every sleep, queue and retry of this library reads the deadline first,
/// and rejects work immediately if the wait does not fit.
///
/// A deadline ends with its call. A task that outlives the call, such as a connection pool that starts on first use,
/// has the deadline only while the call is under way. `withoutCallContext(_:)` starts such a task without the
/// deadline.
public struct Deadline: Sendable {
    package let timeSource: TimeSource
    /// The reading of ``timeSource`` at the deadline.
    package let instant: Int64

    package init(instant: Int64, timeSource: TimeSource) {
        self.instant = instant
        self.timeSource = timeSource
    }

    /// The deadline of the current task, or `nil` if there is none.
    ///
    /// A snapshot. If the owner of the limit moves the deadline, read `current` again.
    public static var current: Deadline? {
        guard let deadline = DeadlineScope.live?.deadline, deadline.instant != .max else { return nil }
        return deadline
    }

    /// The time until the deadline, or zero if the deadline has passed.
    public var remaining: Duration { .nanoseconds(max(0, instant.saturatingSubtract(timeSource.now))) }

    /// A Boolean value that indicates whether the deadline has passed.
    public var isExpired: Bool { instant <= timeSource.now }

    /// Returns whether the deadline has passed at a reading of a clock.
    ///
    /// - Parameters:
    ///   - now: The present reading of `source`.
    ///   - source: The clock. A deadline on the same clock needs no other reading.
    /// - Returns: `true` if the deadline has passed.
    package func isExpired(now: Int64, of source: TimeSource) -> Bool {
        timeSource.identity == source.identity ? instant <= now : isExpired
    }

    /// Returns the reading of a clock at this deadline.
    ///
    /// - Parameters:
    ///   - source: The clock.
    ///   - now: The present reading of `source`.
    /// - Returns: The reading of `source`.
    package func reading(of source: TimeSource, now: Int64) -> Int64 {
        if timeSource.identity == source.identity || instant == .max { return instant }
        return now.saturatingAdd(instant.saturatingSubtract(timeSource.now))
    }
}

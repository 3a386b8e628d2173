/// The instant by which the work of the current task must be over.
///
/// A deadline travels down the task tree with the call that it belongs to. `withTimeout` begins such a call; where calls
/// nest, the earliest deadline holds. Everything in this library that sleeps, queues or retries asks for the deadline
/// first, and rejects the work immediately if the wait cannot fit.
///
/// A deadline ends with its call. A task that is started in a call and outlives the call, such as a connection pool that
/// starts on first use, has that deadline only while the call is under way. ``withoutCallContext(_:)`` starts such work
/// outside of the call from the beginning.
public struct Deadline: Sendable {
    package let timeSource: TimeSource
    /// The reading of ``timeSource`` at the deadline.
    package let instant: Int64

    package init(instant: Int64, timeSource: TimeSource) {
        self.instant = instant
        self.timeSource = timeSource
    }

    /// The deadline of the current task, or `nil` if it has none.
    ///
    /// A snapshot. If the owner of the limit moves the deadline, read `current` again.
    public static var current: Deadline? {
        guard let deadline = DeadlineScope.live?.deadline, deadline.instant != .max else { return nil }
        return deadline
    }

    /// The time left; zero once the deadline has passed.
    public var remaining: Duration { .nanoseconds(max(0, instant.saturatingSubtract(timeSource.now))) }

    /// Whether the deadline has passed.
    public var isExpired: Bool { instant <= timeSource.now }

    /// Whether the deadline has passed at a reading of `source`, which saves another reading where both are one.
    package func isExpired(now: Int64, of source: TimeSource) -> Bool {
        timeSource.identity == source.identity ? instant <= now : isExpired
    }

    /// The reading of `source` at this deadline, when `source` stands at `now`.
    package func reading(of source: TimeSource, now: Int64) -> Int64 {
        if timeSource.identity == source.identity || instant == .max { return instant }
        return now.saturatingAdd(instant.saturatingSubtract(timeSource.now))
    }
}

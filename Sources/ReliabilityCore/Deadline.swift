/// The instant by which the work of the current task must be over.
///
/// A deadline travels down the task tree in a task-local value. `withTimeout` installs one; where deadlines nest,
/// the earliest holds. Everything in this library that sleeps, queues or retries asks it first and refuses at once
/// when the wait cannot fit.
public struct Deadline: Sendable {
    @TaskLocal package static var ambient: Deadline?

    package let timeSource: TimeSource
    package let instant: Int64

    package init(instant: Int64, timeSource: TimeSource) {
        self.instant = instant
        self.timeSource = timeSource
    }

    /// The deadline of the current task, if it has one.
    public static var current: Deadline? { ambient }

    /// The time left; zero once the deadline has passed.
    public var remaining: Duration { .nanoseconds(max(0, instant.saturatingSubtract(timeSource.now))) }

    /// Whether the deadline has passed.
    public var isExpired: Bool { instant <= timeSource.now }

    /// The earlier of this deadline and the ambient one.
    package func clampedToAmbient() -> Deadline {
        guard let ambient = Deadline.ambient else { return self }
        let isComparable = ambient.timeSource.identity == timeSource.identity
        if isComparable { return ambient.instant <= instant ? ambient : self }
        return ambient.remaining <= remaining ? ambient : self
    }
}

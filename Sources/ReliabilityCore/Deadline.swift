internal import Synchronization

/// The instant by which the work of the current task must be over.
///
/// A deadline travels down the task tree in a task-local value. `withTimeout` installs one; where deadlines nest,
/// the earliest holds. Everything in this library that sleeps, queues or retries asks it first and refuses at once
/// when the wait cannot fit.
public struct Deadline: Sendable {
    @TaskLocal package static var ambient: Deadline?

    package let timeSource: TimeSource
    private let fixed: Int64
    private let moving: MovingInstant?

    package init(instant: Int64, timeSource: TimeSource) {
        self.timeSource = timeSource
        fixed = instant
        moving = nil
    }

    /// A deadline that its owner may move, for the ambient value: whoever reads ``current`` gets where it is by then.
    package init(_ moving: MovingInstant, timeSource: TimeSource) {
        self.timeSource = timeSource
        fixed = .max
        self.moving = moving
    }

    /// When the deadline is; for one that moves, at present.
    package var instant: Int64 { moving?.nanoseconds ?? fixed }

    /// The deadline of the current task, if it has one.
    ///
    /// It stays as it is, although the owner of the limit may move that later: read it again.
    public static var current: Deadline? { ambient?.snapshot }

    /// This deadline where it is now, which moves no more.
    package var snapshot: Deadline { moving == nil ? self : Deadline(instant: instant, timeSource: timeSource) }

    /// The time left; zero once the deadline has passed.
    public var remaining: Duration { .nanoseconds(max(0, instant.saturatingSubtract(timeSource.now))) }

    /// Whether the deadline has passed.
    public var isExpired: Bool { instant <= timeSource.now }

    /// Whether the deadline has passed at a reading of `source`, which saves another reading where both are one.
    package func isExpired(now: Int64, of source: TimeSource) -> Bool {
        timeSource.identity == source.identity ? instant <= now : isExpired
    }

    /// The earlier of this deadline and the ambient one.
    package func clampedToAmbient() -> Deadline {
        guard let ambient = Deadline.current else { return self }
        let isComparable = ambient.timeSource.identity == timeSource.identity
        if isComparable { return ambient.instant <= instant ? ambient : self }
        return ambient.remaining <= remaining ? ambient : self
    }
}

/// An instant that one moves and many read.
package final class MovingInstant: Sendable {
    private let value: Atomic<Int64>

    /// Creates an instant.
    package init(_ nanoseconds: Int64) { value = Atomic(nanoseconds) }

    /// Where it is now.
    package var nanoseconds: Int64 {
        get { value.load(ordering: .acquiring) }
        set { value.store(newValue, ordering: .releasing) }
    }
}

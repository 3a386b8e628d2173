internal import ReliabilityCore

/// The limit of the call that is handed it, which may move it.
///
/// ```swift
/// try await withTimeout(.seconds(5)) { deadline in
///     for try await part in upload.parts {
///         try await part.send()
///         deadline.move(to: .seconds(5))          // five seconds without a part, not five for all
///     }
/// }
/// ```
///
/// What reads ``ReliabilityCore/Deadline/current`` below sees where the limit is by then; a nested limit stays where it
/// was computed. Who calls something and wants it to take less time uses a nested `withTimeout`.
///
/// It cannot be copied or kept: it is good while the call runs, and for the call's own task.
public struct OwnedDeadline: ~Copyable {
    private let call: TimedCall
    private let instant: MovingInstant
    private let timeSource: TimeSource
    private let enclosing: Deadline?

    init(_ call: TimedCall, _ instant: MovingInstant, _ timeSource: TimeSource, enclosing: Deadline?) {
        self.call = call
        self.instant = instant
        self.timeSource = timeSource
        self.enclosing = enclosing
    }

    /// The time left; zero once the deadline has passed.
    public var remaining: Duration {
        .nanoseconds(max(0, instant.nanoseconds.saturatingSubtract(timeSource.now)))
    }

    /// Moves the deadline to `limit` from now: earlier or later, but never past that of an enclosing limit.
    ///
    /// With no time left, the call is cancelled as at any deadline.
    ///
    /// - Parameter limit: How long the call may take from now.
    /// - Returns: Whether the deadline was moved: one that has passed stays.
    @discardableResult
    public func move(to limit: Duration) -> Bool {
        move(to: limit, notAfter: .max)
    }

    /// Moves the deadline to `limit` from now when that is earlier.
    ///
    /// - Parameter limit: How long the call may take from now, at most.
    /// - Returns: Whether the deadline had not passed yet.
    @discardableResult
    public func shorten(to limit: Duration) -> Bool { move(to: limit, notAfter: instant.nanoseconds) }

    private func move(to limit: Duration, notAfter bound: Int64) -> Bool {
        let now = timeSource.now
        let wanted = min(now.saturatingAdd(limit.saturatingNanoseconds), bound)
        return call.move(instant, to: min(wanted, enclosing?.reading(of: timeSource, now: now) ?? .max))
    }
}

extension Deadline {
    /// The reading of `source` at this deadline, when `source` stands at `now`.
    func reading(of source: TimeSource, now: Int64) -> Int64 {
        timeSource.identity == source.identity ? instant : now.saturatingAdd(remaining.saturatingNanoseconds)
    }
}

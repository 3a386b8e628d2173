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

    init(_ call: TimedCall) { self.call = call }

    /// The time left; zero once the deadline has passed.
    public var remaining: Duration { call.deadline.remaining }

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
    public func shorten(to limit: Duration) -> Bool { move(to: limit, notAfter: call.expiry) }

    private func move(to limit: Duration, notAfter bound: Int64) -> Bool {
        let wanted = call.timeSource.instant(after: limit)
        return call.move(to: min(wanted, bound))
    }
}

internal import ReliabilityCore

/// The deadline of a call, for the operation that moves the deadline while the call runs.
///
/// ```swift
/// try await withTimeout(.seconds(5)) { deadline in
///     for try await part in parts {
///         try await gateway.upload(part)
///         deadline.reset(after: .seconds(5))          // five seconds for each part, not for all parts
///     }
/// }
/// ```
///
/// `Deadline.current` returns the moved deadline inside the call. A nested limit that was already
/// computed does not move. To shorten the time of a single call inside the operation, use a nested `withTimeout`.
///
/// The value cannot be copied or stored. It is valid in the call's own task while the call runs.
public struct OwnedDeadline: ~Copyable {
    private let call: TimedCall

    init(_ call: TimedCall) { self.call = call }

    /// The time left, or zero if the deadline has passed.
    public var remaining: Duration { call.deadline.remaining }

    /// Moves the deadline to `limit` from now.
    ///
    /// The new deadline may be earlier or later than the old deadline. It is never later than an enclosing limit. A
    /// limit that leaves no time cancels the call as at any deadline.
    ///
    /// - Parameter limit: The time limit from now on.
    /// - Returns: `true` if the deadline was moved, or `false` if the deadline had already passed.
    @discardableResult
    public func reset(after limit: Duration) -> Bool {
        move(to: limit, notAfter: .max)
    }

    /// Moves the deadline to `limit` from now, unless the deadline is earlier already.
    ///
    /// - Parameter limit: The longest time from now on.
    /// - Returns: `true` if the new bound holds, or `false` if the deadline had already passed.
    @discardableResult
    public func shorten(toAtMost limit: Duration) -> Bool { move(to: limit, notAfter: call.expiry) }

    private func move(to limit: Duration, notAfter bound: Int64) -> Bool {
        let reading = call.timeSource.instant(after: limit)
        return call.move(to: min(reading, bound))
    }
}

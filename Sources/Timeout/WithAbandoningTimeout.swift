internal import ReliabilityCore

/// Runs `operation`, cancels it when the limit is reached, gives it a grace to end, and then walks away from it.
///
/// ```swift
/// let abandoned = AbandonedOperations(limit: 50)     // shared by all calls through this driver
/// let rows = try await withAbandoningTimeout(.seconds(10), grace: .seconds(1), abandoned: abandoned) {
///     try await driver.query(sql)                    // a driver that may ignore cancellation
/// }
/// ```
///
/// For work that may ignore cancellation. ``withTimeout(_:clock:operation:)`` waits for such work for ever, in the
/// caller's isolation; this form does not, and so the work has to be `Sendable` and runs beside its caller. What it left
/// behind is counted in `abandoned` until it ends.
///
/// - The call returns by the limit, or an earlier deadline of the task, and the grace after it, whatever the operation does.
/// - An operation that succeeds within the grace still succeeds; one that fails within it throws ``TimeoutError`` with its
///   own error inside.
/// - When the caller is cancelled, so is the operation, with the same grace; after it the call throws `CancellationError`.
///   That is never a timeout.
/// - A value that comes after the caller has left is given to `dispose`, once; an error is dropped.
/// - When no time is left at the start, when the caller is cancelled already, or when too many operations are abandoned,
///   the operation is not begun.
///
/// - Parameters:
///   - limit: How long the operation may take.
///   - grace: How long it may take to end once it has been cancelled; nobody waits when it is not positive, not even for
///     work that ends as soon as it is cancelled.
///   - abandoned: Counts what was left behind, and refuses calls when that is too much.
///   - clock: Measures the time.
///   - dispose: Gets a value that came too late: to close the connection that nobody waits for any more. It runs in a task
///     that is not cancelled and has no deadline.
///   - operation: The work; it runs concurrently with its caller.
/// - Returns: What `operation` returns.
/// - Throws: What `operation` throws; ``TimeoutError``; ``AbandonedOperationsError``; `CancellationError` when the caller is
///   cancelled and the operation does not end within the grace.
public func withAbandoningTimeout<Success: Sendable>(
    _ limit: Duration,
    grace: Duration,
    abandoned: AbandonedOperations,
    clock: some Clock<Duration> = ContinuousClock(),
    disposing dispose: @escaping @Sendable (Success) async -> Void = { _ in },
    operation: @escaping @Sendable () async throws -> Success
) async throws -> Success {
    if CancellationCause.current == .caller { throw CancellationError() }
    let timeSource = TimeSource(clock)
    let now = timeSource.now
    let end = NestedLimit(now.saturatingAdd(limit.saturatingNanoseconds), of: timeSource, now: now)
    let deadline = end.deadline
    if deadline.isExpired {
        let error = TimeoutError(deadline: deadline)
        CallTrace.current?.note(.refused(error))
        throw error
    }
    let count = abandoned.count
    if count >= abandoned.limit {
        let error = AbandonedOperationsError(count: count, limit: abandoned.limit)
        CallTrace.current?.note(.refused(error))
        throw error
    }
    let call = AbandoningCall(end, grace: grace, abandoned, dispose)
    do {
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                call.start(continuation, operation)
            }
        } onCancel: {
            call.callerCancelled()
        }
    } catch let error as TimeoutError where error.deadline.instant == deadline.instant {
        CallTrace.current?.note(.timedOut(limit: limit))
        throw error
    }
}

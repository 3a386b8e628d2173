internal import ReliabilityCore

/// Runs the operation, cancels it when the limit elapses, and abandons it if it does not end within a grace period.
///
/// ```swift
/// let abandoned = AbandonedOperations(maxCount: 50)     // shared by all calls through this driver
/// let rows = try await withAbandoningTimeout(.seconds(10), grace: .seconds(1), abandoned: abandoned) {
///     try await driver.query("SELECT 1")             // a driver that may ignore cancellation
/// }
/// ```
///
/// Use this function for an operation that may ignore cancellation. `withTimeout(_:clock:operation:)` waits forever for
/// such an operation. An abandoned operation outlives its caller, so the operation must be `Sendable` and runs
/// concurrently with its caller.
///
/// - The call returns at the latest when the grace period ends. The grace period begins at the limit, or at an earlier
///   deadline of the task.
/// - An operation that succeeds within the grace period still succeeds.
/// - An operation that fails within the grace period throws ``TimeoutError`` with its own error inside.
/// - If the caller is cancelled first, the operation is cancelled with the same grace period. The call throws
///   `CancellationError` if the operation does not end within the grace period, and never a timeout.
/// - An abandoned operation counts in `abandoned` until the operation ends.
/// - The value of an abandoned operation is passed to `dispose` exactly once. Its error is dropped.
/// - The operation does not run if no time is left at the start, if the caller is already cancelled, or if too many
///   operations are abandoned.
///
/// - Parameters:
///   - limit: The time limit of the operation.
///   - grace: The time that the operation has to end after its cancellation. If `grace` is not positive, the call does
///     not wait at all, not even for an operation that ends immediately when it is cancelled.
///   - abandoned: Counts the abandoned operations and rejects calls at its limit.
///   - clock: The clock that measures the time. Defaults to `ContinuousClock`.
///   - dispose: Receives the value of an abandoned operation, for example to close a connection. The closure runs in a
///     task that is not cancelled and has no deadline. Defaults to no action.
///   - operation: The work. The operation runs concurrently with its caller.
/// - Returns: The operation's value.
/// - Throws: The operation's error, ``TimeoutError`` or ``AbandonedOperationsError``. Throws `CancellationError` if the
///   caller is already cancelled, or if it is cancelled and the operation does not end within the grace period.
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
        CallTrace.current?.record(.rejected(error))
        throw error
    }
    let count = abandoned.count
    if count >= abandoned.maxCount {
        let error = AbandonedOperationsError(count: count, limit: abandoned.maxCount)
        CallTrace.current?.record(.rejected(error))
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
        CallTrace.current?.record(.timedOut(limit: limit))
        throw error
    }
}

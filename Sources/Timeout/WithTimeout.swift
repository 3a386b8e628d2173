public import ReliabilityCore

/// Runs the operation and cancels it when the limit elapses.
///
/// ```swift
/// let quote = try await withTimeout(.seconds(8)) {
///     try await shop.quote(item)
/// }
/// ```
///
/// The operation runs in the caller's isolation. `Deadline.current` returns the limit inside the
/// operation. Of nested limits, the earliest holds.
///
/// - The call cancels the operation at the limit and then waits for its end. An operation that ignores cancellation is
///   never abandoned.
/// - An operation that succeeds after the limit still succeeds, and the call returns its value.
/// - An operation that fails at or after the limit throws ``TimeoutError`` with its own error inside. Only the clock
///   decides, even if another timer or the operation detects the expiry first.
/// - If the caller is cancelled first, the call throws the operation's own error and never a timeout.
/// - If no time is left at the start, the operation does not run and the call throws ``TimeoutError``.
/// - The limit ends with the call. For a task that outlives the call, only the limits of enclosing calls that still run
///   apply from then on. `withoutCallContext(_:)` starts such a task outside the call from the
///   beginning.
/// - An unlimited call, such as a call with `.seconds(Int64.max)` and no enclosing limit, uses neither a timer nor a
///   task.
///
/// The operation runs in its own task. The task keeps the caller's isolation, priority, name and task-local values.
/// From Swift 6.3 on, the task also keeps the task executor preference. If the caller is not isolated to an actor, the
/// task starts immediately on the caller's thread, where the platform has `Task.immediate` (Linux and macOS 26).
///
/// - Warning: The operation must not add tasks to a task group from outside the operation. The compiler accepts such
///   code, but the process ends when the group takes the result of such a child task after the operation has ended. The
///   process ends with SIGSEGV, or with SIGABRT and on Linux the text `pthread_mutex_lock(&handle) failed with error
///   22`. A child task that outlives the operation may also read wrong task-local values, even of values that the
///   caller bound with `withValue`. Create the group inside the operation, or put a limit inside each child task.
///
/// - Parameters:
///   - limit: The time limit of the operation.
///   - clock: The clock that measures the time. Defaults to `ContinuousClock`.
///   - operation: The work.
/// - Returns: The operation's value.
/// - Throws: The operation's error, or ``TimeoutError``.
@inlinable
nonisolated(nonsending) public func withTimeout<Success>(
    _ limit: Duration,
    clock: some Clock<Duration> = ContinuousClock(),
    operation: nonisolated(nonsending) () async throws -> Success
) async throws -> Success {
    var success: Success?
    try await run(within: limit, TimeSource(clock)) { success = try await operation() }.get()
    guard let success else { throw CancellationError() }
    return success
}

/// Runs the operation and cancels it at a deadline that the operation can move.
///
/// ```swift
/// try await withTimeout(.seconds(5)) { deadline in
///     for try await part in parts {
///         try await gateway.upload(part)
///         deadline.reset(after: .seconds(5))
///     }
/// }
/// ```
///
/// - Warning: The operation must not add tasks to a task group from outside the operation. The process ends, on Linux
///   with `pthread_mutex_lock(&handle) failed with error 22`. See `withTimeout(_:clock:operation:)`.
///
/// - Parameters:
///   - limit: The time limit of the operation until the operation moves the deadline.
///   - clock: The clock that measures the time. Defaults to `ContinuousClock`.
///   - operation: The work. Its parameter is the deadline.
/// - Returns: The operation's value.
/// - Throws: The operation's error, or ``TimeoutError``.
@inlinable
nonisolated(nonsending) public func withTimeout<Success>(
    _ limit: Duration,
    clock: some Clock<Duration> = ContinuousClock(),
    operation: nonisolated(nonsending) (borrowing OwnedDeadline) async throws -> Success
) async throws -> Success {
    var success: Success?
    try await run(movably: limit, TimeSource(clock)) { success = try await operation($0) }.get()
    guard let success else { throw CancellationError() }
    return success
}

/// Runs the operation and cancels it at an instant.
///
/// - Warning: The operation must not add tasks to a task group from outside the operation. The process ends, on Linux
///   with `pthread_mutex_lock(&handle) failed with error 22`. See `withTimeout(_:clock:operation:)`.
///
/// - Parameters:
///   - instant: The deadline of the operation.
///   - clock: The clock of the instant. Defaults to `ContinuousClock`.
///   - operation: The work.
/// - Returns: The operation's value.
/// - Throws: The operation's error, or ``TimeoutError``.
@inlinable
nonisolated(nonsending) public func withTimeout<Success, C: Clock<Duration>>(
    until instant: C.Instant,
    clock: C = ContinuousClock(),
    operation: nonisolated(nonsending) () async throws -> Success
) async throws -> Success {
    let now = clock.now
    // An instant in the past may be further away than a duration can represent.
    let limit = instant > now ? now.duration(to: instant) : .zero
    return try await withTimeout(limit, clock: clock, operation: operation)
}

/// Runs the operation and returns a default value if the limit elapses before the operation succeeds.
///
/// A call with no time left at the start also returns the default value. An operation that succeeds late still returns
/// its own value. The call throws an error from before the limit, and the operation's error after a cancelled caller.
///
/// - Warning: The operation must not add tasks to a task group from outside the operation. The process ends, on Linux
///   with `pthread_mutex_lock(&handle) failed with error 22`. See `withTimeout(_:clock:operation:)`.
///
/// - Parameters:
///   - limit: The time limit of the operation.
///   - fallback: The default value, evaluated only if the limit elapses.
///   - clock: The clock that measures the time. Defaults to `ContinuousClock`.
///   - operation: The work.
/// - Returns: The operation's value, or the default value.
/// - Throws: The operation's error, if the limit has not elapsed or the caller was cancelled first.
nonisolated(nonsending) public func withTimeout<Success>(
    _ limit: Duration,
    default fallback: @autoclosure () -> Success,
    clock: some Clock<Duration> = ContinuousClock(),
    operation: nonisolated(nonsending) () async throws -> Success
) async throws -> Success {
    var success: Success?
    let result = await run(within: limit, TimeSource(clock)) { success = try await operation() }
    if case .expired = result { return fallback() }
    try result.get()
    return success ?? fallback()
}

/// Runs operations concurrently, each with its own limit, and waits for all of them.
///
/// All limits start at the same moment. An operation that fails or exceeds its limit does not affect the others.
///
/// - Parameters:
///   - operations: The operations with their limits.
///   - clock: The clock that measures the time. Defaults to `ContinuousClock`.
/// - Returns: The results of the operations, in the order of `operations`.
nonisolated(nonsending) public func withConcurrentTimeouts<Success: Sendable>(
    _ operations: [TimedOperation<Success>],
    clock: some Clock<Duration> = ContinuousClock()
) async -> [Result<Success, any Error>] {
    let timeSource = TimeSource(clock)
    // The start of every limit.
    let now = timeSource.now
    return await withTaskGroup { group in
        for (index, operation) in operations.enumerated() {
            let own = now.saturatingAdd(operation.limit.saturatingNanoseconds)
            let end = NestedLimit(own, of: timeSource, now: now)
            group.addTask {
                var success: Success?
                let result = await run(until: end, operation.limit, now: timeSource.now, timeSource) {
                    success = try await operation.operation()
                }
                return (
                    index,
                    Result {
                        try result.get()
                        guard let success else { throw CancellationError() }
                        return success
                    }
                )
            }
        }
        var results: [Result<Success, any Error>] = operations.map { _ in .failure(CancellationError()) }
        for await (index, result) in group { results[index] = result }
        return results
    }
}

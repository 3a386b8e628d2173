public import ReliabilityCore

/// Runs `operation` and cancels it when the limit is reached.
///
/// ```swift
/// let quote = try await withTimeout(.seconds(8)) {
///     try await shop.quote(for: item)
/// }
/// ```
///
/// The operation is cancelled, and then waited for: a call that ignores cancellation is not abandoned. It runs in the
/// caller's isolation and sees the limit as ``ReliabilityCore/Deadline/current``; of nested limits the earliest holds.
///
/// - An operation that succeeds after the limit still succeeds: its value is returned.
/// - An operation that fails at or after the limit throws ``TimeoutError``, with its own error inside. The clock decides,
///   and not who noticed the expiry first.
/// - When the caller is cancelled first, the operation's own error is thrown, never a timeout.
/// - When no time is left at the start, the operation is not begun.
///
/// - The limit ends with the call. A task that the operation starts and that outlives the call has no deadline from then
///   on. ``ReliabilityCore/withoutCallContext(_:)`` starts such a task outside of the call from the beginning.
///
/// The operation runs in a task of its own, which keeps the isolation, the priority, the name, the task-local values and,
/// from Swift 6.3 on, the task executor preference. If the caller is in no actor's isolation, the task starts in place.
///
/// - Warning: `operation` must not add tasks to a task group that was created outside of it. The compiler accepts it, and
///   the process ends with SIGABRT (on Linux with the text `pthread_mutex_lock(&handle) failed with error 22`) or SIGSEGV
///   when the group takes the result of such a child task after the operation has ended. A child task that still runs by
///   then may read wrong task-local values, those that the caller bound with `withValue` included. Create the group inside
///   `operation`, or put the limit inside each child task.
///
/// An iterator of an `AsyncSequence` that is created outside is advanced with `try await iterator.next(isolation:
/// #isolation)`: plain `next()` does not compile where the iterator is not `Sendable`.
///
/// A limit without end, such as `.seconds(Int64.max)`, costs nothing: the operation then runs as if called directly.
///
/// - Parameters:
///   - limit: How long the operation may take.
///   - clock: Measures the time.
///   - operation: The work.
/// - Returns: What `operation` returns.
/// - Throws: What `operation` throws, or ``TimeoutError``.
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

/// Runs `operation` and cancels it when the named limit is reached, such as `.database`.
///
/// - Warning: `operation` must not add tasks to a task group that was created outside of it: the process ends, on Linux with
///   `pthread_mutex_lock(&handle) failed with error 22`. See ``withTimeout(_:clock:operation:)``.
///
/// - Parameters:
///   - limit: How long the operation may take.
///   - clock: Measures the time.
///   - operation: The work.
/// - Returns: What `operation` returns.
/// - Throws: What `operation` throws, or ``TimeoutError``.
@inlinable
nonisolated(nonsending) public func withTimeout<Success>(
    _ limit: TimeLimit,
    clock: some Clock<Duration> = ContinuousClock(),
    operation: nonisolated(nonsending) () async throws -> Success
) async throws -> Success {
    try await withTimeout(limit.duration, clock: clock, operation: operation)
}

/// Runs `operation` and cancels it when the limit is reached, which `operation` may move.
///
/// ```swift
/// try await withTimeout(.seconds(5)) { deadline in
///     for try await part in parts {
///         try await send(part)
///         deadline.move(to: .seconds(5))
///     }
/// }
/// ```
///
/// - Warning: `operation` must not add tasks to a task group that was created outside of it: the process ends, on Linux with
///   `pthread_mutex_lock(&handle) failed with error 22`. See ``withTimeout(_:clock:operation:)``.
///
/// - Parameters:
///   - limit: How long the operation may take, unless it moves the deadline.
///   - clock: Measures the time.
///   - operation: The work; it is handed its deadline.
/// - Returns: What `operation` returns.
/// - Throws: What `operation` throws, or ``TimeoutError``.
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

/// Runs `operation` and cancels it at an instant.
///
/// - Warning: `operation` must not add tasks to a task group that was created outside of it: the process ends, on Linux with
///   `pthread_mutex_lock(&handle) failed with error 22`. See ``withTimeout(_:clock:operation:)``.
///
/// - Parameters:
///   - instant: When the operation must be over.
///   - clock: The clock that the instant belongs to.
///   - operation: The work.
/// - Returns: What `operation` returns.
/// - Throws: What `operation` throws, or ``TimeoutError``.
@inlinable
nonisolated(nonsending) public func withTimeout<Success, C: Clock<Duration>>(
    until instant: C.Instant,
    clock: C = ContinuousClock(),
    operation: nonisolated(nonsending) () async throws -> Success
) async throws -> Success {
    let now = clock.now
    // Only a distance into the future is measured: an instant may lie further back than a duration reaches.
    let limit = instant > now ? now.duration(to: instant) : .zero
    return try await withTimeout(limit, clock: clock, operation: operation)
}

/// Runs `operation`, and returns a default when it does not succeed within the limit.
///
/// A value that comes late is returned all the same. Errors other than this timeout are thrown, and so is the caller's
/// cancellation.
///
/// - Warning: `operation` must not add tasks to a task group that was created outside of it: the process ends, on Linux with
///   `pthread_mutex_lock(&handle) failed with error 22`. See ``withTimeout(_:clock:operation:)``.
///
/// - Parameters:
///   - limit: How long the operation may take.
///   - fallback: What to return instead.
///   - clock: Measures the time.
///   - operation: The work.
/// - Returns: What `operation` returns, or the default.
/// - Throws: What `operation` throws within the limit.
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

/// Runs operations at the same time, each with its own limit, and waits for all.
///
/// One that fails or runs out of time does not disturb the others.
///
/// - Parameters:
///   - operations: The limits and the work.
///   - clock: Measures the time.
/// - Returns: How each operation ended, in the order in which they were given.
nonisolated(nonsending) public func withConcurrentTimeouts<Success: Sendable>(
    _ operations: [TimedOperation<Success>],
    clock: some Clock<Duration> = ContinuousClock()
) async -> [Result<Success, any Error>] {
    let timeSource = TimeSource(clock)
    // Every limit counts from the same moment.
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

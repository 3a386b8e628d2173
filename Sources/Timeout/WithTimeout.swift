internal import ReliabilityCore

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
/// - An operation that fails after the limit throws ``TimeoutError``, with its own error inside.
/// - When the caller is cancelled first, the operation's own error is thrown, never a timeout.
/// - When no time is left at the start, the operation is not begun.
///
/// The operation runs in a task of its own, which keeps the isolation, the priority and the task-local values, but not a
/// task executor preference.
///
/// - Parameters:
///   - limit: How long the operation may take.
///   - clock: Measures the time.
///   - operation: The work.
/// - Returns: What `operation` returns.
/// - Throws: What `operation` throws, or ``TimeoutError``.
nonisolated(nonsending) public func withTimeout<Success>(
    _ limit: Duration,
    clock: some Clock<Duration> = ContinuousClock(),
    operation: nonisolated(nonsending) () async throws -> Success
) async throws -> Success {
    try await run(until: Deadline(limit, TimeSource(clock)), operation).get()
}

/// Runs `operation` and cancels it when the named limit is reached, such as `.database`.
///
/// - Parameters:
///   - limit: How long the operation may take.
///   - clock: Measures the time.
///   - operation: The work.
/// - Returns: What `operation` returns.
/// - Throws: What `operation` throws, or ``TimeoutError``.
nonisolated(nonsending) public func withTimeout<Success>(
    _ limit: TimeLimit,
    clock: some Clock<Duration> = ContinuousClock(),
    operation: nonisolated(nonsending) () async throws -> Success
) async throws -> Success {
    try await withTimeout(limit.duration, clock: clock, operation: operation)
}

/// Runs `operation` and cancels it at an instant.
///
/// - Parameters:
///   - instant: When the operation must be over.
///   - clock: The clock that the instant belongs to.
///   - operation: The work.
/// - Returns: What `operation` returns.
/// - Throws: What `operation` throws, or ``TimeoutError``.
nonisolated(nonsending) public func withTimeout<Success, C: Clock<Duration>>(
    until instant: C.Instant,
    clock: C = ContinuousClock(),
    operation: nonisolated(nonsending) () async throws -> Success
) async throws -> Success {
    let now = clock.now
    // Only a distance into the future is measured: an instant may lie further back than a duration reaches.
    let limit = instant > now ? now.duration(to: instant) : .zero
    return try await run(until: Deadline(limit, TimeSource(clock)), operation).get()
}

/// Runs `operation`, and returns a default when it does not succeed within the limit.
///
/// Errors other than this timeout are thrown, and so is the caller's cancellation.
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
    let result = await run(until: Deadline(limit, TimeSource(clock)), operation)
    if case .expired = result { return fallback() }
    return try result.get()
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
    let deadlines = operations.map { Deadline($0.limit, timeSource) }
    return await withTaskGroup { group in
        for (index, deadline) in deadlines.enumerated() {
            let operation = operations[index].operation
            group.addTask {
                let result = await run(until: deadline) { try await operation() }
                return (index, Result { try result.get() })
            }
        }
        var results: [Result<Success, any Error>] = operations.map { _ in .failure(CancellationError()) }
        for await (index, result) in group { results[index] = result }
        return results
    }
}

extension Deadline {
    /// The deadline that is `limit` from now.
    init(_ limit: Duration, _ timeSource: TimeSource) {
        self.init(instant: timeSource.instant(after: limit), timeSource: timeSource)
    }
}

public import ReliabilityCore

/// The result of a call under a deadline.
@usableFromInline
enum TimedResult {
    case success
    case failure(any Error)
    /// The call failed at or after its deadline, or had no time left at the start.
    case expired(TimeoutError)

    @usableFromInline
    func get() throws {
        switch self {
        case .success: return
        case .failure(let error): throw error
        case .expired(let error): throw error
        }
    }
}

/// Runs an operation in the caller's isolation, cancels it after `limit`, and always waits for its end.
@usableFromInline
nonisolated(nonsending) func run(
    within limit: Duration,
    _ timeSource: TimeSource,
    _ operation: nonisolated(nonsending) () async throws -> Void
) async -> TimedResult {
    // The operation stores its own value, so that this function needs no generic parameter.
    let now = timeSource.now
    let own = now.saturatingAdd(limit.saturatingNanoseconds)
    return await run(until: NestedLimit(own, of: timeSource, now: now), limit, now: now, timeSource, operation)
}

/// Runs an operation in the caller's isolation, cancels it at the deadline, and always waits for its end.
///
/// - Precondition: `now` is a reading of `timeSource`.
@inline(__always)
nonisolated(nonsending) func run(
    until end: NestedLimit,
    _ limit: Duration,
    now: Int64,
    _ timeSource: TimeSource,
    _ operation: nonisolated(nonsending) () async throws -> Void
) async -> TimedResult {
    let deadline = end.deadline
    if deadline.isExpired(now: now, of: timeSource) { return rejection(deadline) }
    if deadline.instant == .max {
        // Without a deadline, neither a timer nor a task is necessary.
        do { try await operation() } catch { return .failure(error) }
        return .success
    }
    // The operation runs in its own task, because only a task can be cancelled. The closure does not escape: this
    // function returns after the end of the task, and caller and task alternate in the same isolation.
    nonisolated(nonsending) func body(
        _ operation: nonisolated(nonsending) @escaping () async throws -> Void
    ) async -> TimedResult {
        let call = TimedCall(end, TimedCall.Operation(run: operation))
        await call.run()
        return call.result(limit: limit)
    }
    return await withoutActuallyEscaping(operation, do: body)
}

/// Runs an operation that can move its deadline, as ``run(within:_:_:)`` does otherwise.
@usableFromInline
nonisolated(nonsending) func run(
    movably limit: Duration,
    _ timeSource: TimeSource,
    _ operation: nonisolated(nonsending) (borrowing OwnedDeadline) async throws -> Void
) async -> TimedResult {
    let now = timeSource.now
    let own = now.saturatingAdd(limit.saturatingNanoseconds)
    let end = NestedLimit(own, of: timeSource, now: now, keepsSource: true)
    if end.instant <= now { return rejection(end.deadline) }
    nonisolated(nonsending) func body(
        _ operation: nonisolated(nonsending) @escaping (borrowing OwnedDeadline) async throws -> Void
    ) async -> TimedResult {
        let call = TimedCall(end)
        call.operation = TimedCall.Operation { [unowned call] in try await operation(OwnedDeadline(call)) }
        await call.run()
        return call.result(limit: limit)
    }
    return await withoutActuallyEscaping(operation, do: body)
}

private func rejection(_ deadline: Deadline) -> TimedResult {
    let error = TimeoutError(deadline: deadline)
    CallTrace.current?.record(.rejected(error))
    return .expired(error)
}

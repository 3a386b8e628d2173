public import ReliabilityCore

/// How a call under a deadline ended.
@usableFromInline
enum TimedResult {
    case success
    case failure(any Error)
    /// The deadline cancelled it, or it was never begun.
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

/// Runs an operation in the caller's isolation and cancels it after `limit`; waits for its end in any case.
///
/// The operation keeps what it returns, so that this is generic in nothing.
@usableFromInline
nonisolated(nonsending) func run(
    within limit: Duration,
    _ timeSource: TimeSource,
    _ operation: nonisolated(nonsending) () async throws -> Void
) async -> TimedResult {
    let now = timeSource.now
    let own = now.saturatingAdd(limit.saturatingNanoseconds)
    return await run(until: NestedLimit(own, of: timeSource, now: now), limit, now: now, timeSource, operation)
}

/// Runs an operation in the caller's isolation and cancels it at the deadline; waits for its end in any case.
///
/// `now` is a reading of `timeSource`.
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
        // There is nothing to wait for: no timer, no task.
        do { try await operation() } catch { return .failure(error) }
        return .success
    }
    // The operation runs in a task of its own, for a task is what can be cancelled. It does not escape: this function
    // returns after that task's end, and caller and task take turns in one isolation.
    nonisolated(nonsending) func underWay(
        _ operation: nonisolated(nonsending) @escaping () async throws -> Void
    ) async -> TimedResult {
        let call = TimedCall(end, operation)
        await call.run()
        return call.result(limit: limit)
    }
    return await withoutActuallyEscaping(operation, do: underWay)
}

/// Runs an operation, as ``run(within:_:_:)`` does, that may move its deadline.
@usableFromInline
nonisolated(nonsending) func run(
    movably limit: Duration,
    _ timeSource: TimeSource,
    _ operation: nonisolated(nonsending) (borrowing OwnedDeadline) async throws -> Void
) async -> TimedResult {
    let now = timeSource.now
    let wanted = now.saturatingAdd(limit.saturatingNanoseconds)
    let end = NestedLimit(wanted, of: timeSource, now: now, keepsSource: true)
    if end.instant <= now { return rejection(end.deadline) }
    nonisolated(nonsending) func underWay(
        _ operation: nonisolated(nonsending) @escaping (borrowing OwnedDeadline) async throws -> Void
    ) async -> TimedResult {
        let call = TimedCall(end)
        call.operation = { [unowned call] in try await operation(OwnedDeadline(call)) }
        await call.run()
        return call.result(limit: limit)
    }
    return await withoutActuallyEscaping(operation, do: underWay)
}

private func rejection(_ deadline: Deadline) -> TimedResult {
    let error = TimeoutError(deadline: deadline)
    CallTrace.current?.note(.refused(error))
    return .expired(error)
}

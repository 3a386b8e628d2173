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
    let instant = now.saturatingAdd(limit.saturatingNanoseconds)
    return await run(until: Deadline(instant: instant, timeSource: timeSource), now: now, operation)
}

/// Runs an operation in the caller's isolation and cancels it at the deadline; waits for its end in any case.
@inline(__always)
nonisolated(nonsending) func run(
    until own: Deadline,
    now: Int64,
    _ operation: nonisolated(nonsending) () async throws -> Void
) async -> TimedResult {
    let deadline = own.clampedToAmbient()
    if deadline.isExpired(now: now, of: own.timeSource) { return refusal(deadline) }
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
        let call = TimedCall(until: deadline, operation)
        await call.run()
        return call.result(limit: .nanoseconds(own.instant.saturatingSubtract(now)))
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
    let enclosing = Deadline.ambient
    let wanted = now.saturatingAdd(limit.saturatingNanoseconds)
    let instant = MovingInstant(min(wanted, enclosing?.reading(of: timeSource, now: now) ?? .max))
    let deadline = Deadline(instant, timeSource: timeSource)
    if instant.nanoseconds <= now { return refusal(deadline) }
    nonisolated(nonsending) func underWay(
        _ operation: nonisolated(nonsending) @escaping (borrowing OwnedDeadline) async throws -> Void
    ) async -> TimedResult {
        let call = TimedCall(until: deadline)
        call.operation = { [unowned call] in
            try await operation(OwnedDeadline(call, instant, timeSource, enclosing: enclosing))
        }
        await call.run()
        return call.result(limit: limit)
    }
    return await withoutActuallyEscaping(operation, do: underWay)
}

private func refusal(_ deadline: Deadline) -> TimedResult {
    let error = TimeoutError(deadline: deadline.snapshot)
    CallTrace.current?.note(.refused(error))
    return .expired(error)
}

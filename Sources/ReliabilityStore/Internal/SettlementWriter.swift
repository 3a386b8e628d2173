package import ReliabilityCore

/// The repetition of a lease holder's writes until the store answers.
///
/// A failed call to the store does not end a lease. While a store is down, no other holder can take the lease either. A
/// write is therefore repeated until the store answers or an error is permanent.
package struct SettlementWriter: Sendable {
    package static let minWait = Duration.milliseconds(50)
    private static let maxWait = Duration.seconds(1)

    @usableFromInline let timeSource: TimeSource

    /// Creates a writer with the time source of its waits.
    package init(timeSource: TimeSource) { self.timeSource = timeSource }

    /// Repeats an attempt to write until the store answers.
    ///
    /// The attempts do not depend on the caller. If the caller is cancelled, its deadline passes or `maxWait` ends,
    /// the attempts continue in a separate task. The wait between two attempts doubles from 50 milliseconds to one
    /// second.
    ///
    /// - Parameters:
    ///   - state: The state that an attempt passes to the next attempt.
    ///   - maxWait: The longest wait of the caller. The caller's deadline shortens the wait, and its cancellation does
    ///     not.
    ///   - attempt: Makes an attempt and returns the answer. An error ends the attempt, and only a permanent error ends
    ///     the writing.
    ///   - ended: Receives the final result exactly once, possibly after this call has returned.
    /// - Returns: The answer or a permanent error, or `nil` if there is no final result yet.
    // Inlinable, so that a first attempt that succeeds needs no metadata of generic types.
    @inlinable
    nonisolated(nonsending) package func write<State: Sendable, Answer: Sendable>(
        _ state: State,
        maxWait: Duration,
        attempt: @escaping @Sendable (inout State) async throws(StoreError) -> Answer,
        ended: @escaping @Sendable (Result<Answer, StoreError>) -> Void
    ) async -> Result<Answer, StoreError>? {
        let start = timeSource.now
        var state = state
        var wait = Duration.zero
        // A store rejects the writes of a cancelled task. Otherwise the first attempt needs no separate task.
        if !Self.isCancelledOrLate {
            let result = await Self.result(of: attempt, &state)
            if Self.isFinal(result) {
                ended(result)
                return result
            }
            if !Self.isCancelledOrLate { wait = Self.minWait }
        }
        let writing = startWriting(state, after: wait, attempt: attempt, ended: ended)
        let waited = Duration.nanoseconds(timeSource.now.saturatingSubtract(start))
        let left = max(.zero, min(maxWait - waited, Deadline.current?.remaining ?? maxWait))
        return await withinLimit(left, timeSource: timeSource) { await writing.value }
    }

    /// Repeats an attempt to write in a separate task until the store answers or an instant has passed.
    ///
    /// - Parameters:
    ///   - state: The state that an attempt passes to the next attempt.
    ///   - wait: The wait before the first attempt.
    ///   - end: The instant after which a failed attempt is the last attempt. Defaults to never.
    ///   - attempt: Makes an attempt, as in ``write(_:maxWait:attempt:ended:)``.
    ///   - ended: Receives the final result exactly once.
    /// - Returns: The task that makes the attempts.
    @discardableResult
    package func startWriting<State: Sendable, Answer: Sendable>(
        _ state: State,
        after wait: Duration = Self.minWait,
        until end: Int64 = .max,
        attempt: @escaping @Sendable (inout State) async throws(StoreError) -> Answer,
        ended: @escaping @Sendable (Result<Answer, StoreError>) -> Void
    ) -> Task<Result<Answer, StoreError>, Never> {
        startTask(on: timeSource.taskExecutor) {
            // The caller's deadline does not apply to the attempts.
            await withoutCallContext {
                var state = state
                var wait = wait
                while true {
                    try? await timeSource.sleep(for: wait)
                    let result = await Self.result(of: attempt, &state)
                    if Self.isFinal(result) || timeSource.now >= end {
                        ended(result)
                        return result
                    }
                    wait = min(max(wait * 2, Self.minWait), Self.maxWait)
                    // Only the store can have cancelled this task. A cancelled task can neither sleep nor write.
                    if Task.isCancelled {
                        return await startWriting(state, after: wait, until: end, attempt: attempt, ended: ended).value
                    }
                }
            }
        }
    }

    /// A Boolean value that indicates whether the current task is cancelled or its deadline has passed.
    @usableFromInline static var isCancelledOrLate: Bool { Task.isCancelled || Deadline.current?.isExpired == true }

    @inlinable static func result<State: Sendable, Answer: Sendable>(
        of attempt: @Sendable (inout State) async throws(StoreError) -> Answer,
        _ state: inout State
    ) async -> Result<Answer, StoreError> {
        do throws(StoreError) { return .success(try await attempt(&state)) } catch { return .failure(error) }
    }

    @usableFromInline static func isFinal<Answer>(_ result: Result<Answer, StoreError>) -> Bool {
        switch result {
        case .success: true
        case .failure(let error): error.isPermanent
        }
    }
}

extension StoreError {
    /// A Boolean value that indicates whether every repetition of the same call would fail as well.
    package var isPermanent: Bool {
        switch reason {
        case .unavailable, .unknownOutcome, .diskFull, .capacityExceeded, .cancelled: false
        case .invalid, .corruption, .locked, .unsupportedFormat, .readOnly, .failed, .closed: true
        }
    }
}

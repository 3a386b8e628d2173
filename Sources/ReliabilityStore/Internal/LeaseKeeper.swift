package import ReliabilityCore

/// The persistence of a lease's holder: what the holder knows is written until the store has answered.
///
/// A lease is lost when the store says so, not when a call to the store fails: while a store is down, nobody else can
/// take the lease either. So a write is given up only after an answer, or after an error that no later attempt can mend.
package struct LeaseKeeper: Sendable {
    package static let shortestWait = Duration.milliseconds(50)
    private static let longestWait = Duration.seconds(1)

    private let timeSource: TimeSource

    /// Creates a keeper whose waits are measured by a time source.
    package init(timeSource: TimeSource) { self.timeSource = timeSource }

    /// Repeats an attempt to write until the store answers.
    ///
    /// The attempts do not depend on the caller: where the caller is cancelled, its deadline passes or `patience` ends,
    /// they continue in a task of their own. Between two attempts, the wait doubles from 50 milliseconds to a second.
    ///
    /// - Parameters:
    ///   - state: The state that an attempt leaves for the next one.
    ///   - patience: The longest time that the caller waits; its deadline cuts that, and its cancellation does not.
    ///   - attempt: Makes one attempt. It returns the answer; what it throws ends the attempt and not the writing.
    ///   - ended: Receives the end of the writing, exactly once, perhaps after this call has returned.
    /// - Returns: The answer, or the error that no later attempt can mend; `nil` if there is neither yet.
    nonisolated(nonsending) package func write<State: Sendable, Answer: Sendable>(
        _ state: State,
        patience: Duration,
        attempt: @escaping @Sendable (inout State) async throws(StoreError) -> Answer,
        ended: @escaping @Sendable (Result<Answer, StoreError>) -> Void
    ) async -> Result<Answer, StoreError>? {
        let start = timeSource.now
        var state = state
        var wait = Duration.zero
        // A store refuses the writes of a cancelled task. Otherwise the first attempt needs no task of its own.
        if !Self.isCut {
            let result = await Self.result(of: attempt, &state)
            if Self.isEnd(result) {
                ended(result)
                return result
            }
            if !Self.isCut { wait = Self.shortestWait }
        }
        let writing = startWriting(state, after: wait, attempt: attempt, ended: ended)
        let waited = Duration.nanoseconds(timeSource.now.saturatingSubtract(start))
        let left = max(.zero, min(patience - waited, Deadline.current?.remaining ?? patience))
        return await withinLimit(left, timeSource: timeSource) { await writing.value }
    }

    /// Repeats an attempt to write until the store answers or an instant has passed, without a caller that waits.
    ///
    /// - Parameters:
    ///   - state: The state that an attempt leaves for the next one.
    ///   - wait: The wait before the first attempt.
    ///   - end: The instant after which a failed attempt is the last one. Defaults to never.
    ///   - attempt: Makes one attempt, as in ``write(_:patience:attempt:ended:)``.
    ///   - ended: Receives the end of the writing, exactly once.
    /// - Returns: The task that writes.
    @discardableResult
    package func startWriting<State: Sendable, Answer: Sendable>(
        _ state: State,
        after wait: Duration = Self.shortestWait,
        until end: Int64 = .max,
        attempt: @escaping @Sendable (inout State) async throws(StoreError) -> Answer,
        ended: @escaping @Sendable (Result<Answer, StoreError>) -> Void
    ) -> Task<Result<Answer, StoreError>, Never> {
        startTask(on: timeSource.taskExecutor) {
            // The deadline of the caller is not that of the attempts.
            await withoutCallContext {
                var state = state
                var wait = wait
                while true {
                    try? await timeSource.sleep(for: wait)
                    let result = await Self.result(of: attempt, &state)
                    if Self.isEnd(result) || timeSource.now >= end {
                        ended(result)
                        return result
                    }
                    wait = min(max(wait * 2, Self.shortestWait), Self.longestWait)
                    // Only the store itself can have done that. A cancelled task neither sleeps nor writes any more.
                    if Task.isCancelled {
                        return await startWriting(state, after: wait, until: end, attempt: attempt, ended: ended).value
                    }
                }
            }
        }
    }

    /// Whether the current task is cancelled or late.
    private static var isCut: Bool { Task.isCancelled || Deadline.current?.isExpired == true }

    private static func result<State: Sendable, Answer: Sendable>(
        of attempt: @Sendable (inout State) async throws(StoreError) -> Answer,
        _ state: inout State
    ) async -> Result<Answer, StoreError> {
        do throws(StoreError) { return .success(try await attempt(&state)) } catch { return .failure(error) }
    }

    private static func isEnd<Answer>(_ result: Result<Answer, StoreError>) -> Bool {
        switch result {
        case .success: true
        case .failure(let error): error.isLasting
        }
    }
}

extension StoreError {
    /// Whether no later call to the same store can do better.
    package var isLasting: Bool {
        switch reason {
        case .unavailable, .unknownOutcome, .diskFull, .capacityExceeded, .cancelled: false
        case .invalid, .corruption, .locked, .unsupportedFormat, .readOnly, .failed, .closed: true
        }
    }
}

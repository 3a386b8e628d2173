internal import ReliabilityCore

/// Runs one call from its first failure: judges each failed attempt and waits before the next attempt.
struct RetryExecutor {
    /// The next step after a failed attempt.
    enum NextStep {
        /// The wait has ended: make another attempt.
        case retry
        /// The call ends as the attempt ended.
        case rethrow
        /// The policy gave up.
        case gaveUp(RetryError)
    }

    private let policy: RetryPolicy
    private var state = RetryStateMachine()
    private var log = AttemptLog()
    /// The reading of the clock at the start of the call.
    private let callStart: Int64
    /// The start of the present attempt.
    private var attemptStart: AttemptStart
    private var waited: Int64 = 0

    init(_ policy: RetryPolicy, _ start: AttemptStart) {
        self.policy = policy
        attemptStart = start
        callStart = start.reading
    }

    /// The time since the start of the present attempt in nanoseconds.
    private var took: Int64 { policy.timeSource.now.saturatingSubtract(attemptStart.reading) }

    /// The error that decides about an attempt.
    private func meaning(of error: any Error) -> any Error {
        // A map of the user cannot turn a rejection into another error.
        error.isRejection ? error : policy.classifyForeign?(error) ?? error
    }

    /// Returns whether an attempt that threw an error may have had an effect.
    private func wasPossiblySent(_ error: any Error) -> Bool {
        // In a pipeline, the tracker shows whether a rejection came before the operation began. Another error may come
        // from a policy of the user that had an effect itself.
        if error.isRejection, let sends = attemptStart.sends, SendTracker.current?.count == sends { return false }
        return error.leavesOperationPossiblySent
    }

    /// Records a failed attempt and runs the wait before the next attempt.
    ///
    /// - Parameters:
    ///   - error: The error of the attempt, or an error that stands for its result.
    ///   - decide: The classification of the error. Called only if the decision matters.
    /// - Returns: The next step. A retry is returned after its wait.
    /// - Throws: `CancellationError` if the task is cancelled during the wait.
    mutating func attemptFailed(
        _ error: any Error,
        _ decide: (any Error) -> RetryDecision
    ) async throws -> NextStep {
        let took = took
        let cause = CancellationCause.current
        // The caller has cancelled the call. Nothing is recorded and nothing is repeated.
        if cause == .caller {
            if log.isContradicted(by: meaning(of: error)) { throw CancellationError() }
            return .rethrow
        }
        let isSuppressed = ExtraAttempt.suppressesCall(running: policy.timeSource.now.saturatingSubtract(callStart))
        if !isSuppressed {
            if state.attempt == 1 { policy.budget?.recordCall() }
            CallTrace.current?.record(.attempt(number: state.attempt, took: .nanoseconds(took), error: error))
        }
        let meaning = meaning(of: error)
        let wasPossiblySent = wasPossiblySent(meaning)
        log.append(error, meaning: meaning, wasPossiblySent: wasPossiblySent, waited: waited, took: took)
        if cause == .deadline || Deadline.current?.isExpired == true {
            // The errors of the earlier attempts are more useful than the error of an attempt that was cut off.
            return state.attempt > 1 ? giveUp(.deadlineTooClose, error) : .rethrow
        }
        let failure = RetryStateMachine.Failure(meaning, decide(meaning), mayHaveBeenSent: wasPossiblySent)
        let action = state.attemptFailed(
            failure,
            configuration: policy.configuration,
            remaining: Deadline.current?.remaining.saturatingNanoseconds,
            isSuppressed: isSuppressed,
            random: policy.random
        )
        switch action {
        case .rethrow:
            if isSuppressed, failure.decision != .stop {
                policy.events.report(.suppressed(error: error))
            }
            // The error would state that the call had no effect. A single attempt speaks for itself.
            if log.count > 1, log.isContradicted(by: meaning) { return giveUp(.notRetryable, error) }
            return .rethrow
        case .giveUp(let reason): return giveUp(reason, error)
        case .retry(let wait): return try await waitForNextAttempt(wait, failure.cost, error)
        }
    }

    /// Records the success of an attempt after the first attempt.
    func attemptSucceeded() {
        CallTrace.current?.record(.attempt(number: state.attempt, took: .nanoseconds(took), error: nil))
    }

    private mutating func waitForNextAttempt(
        _ wait: Int64,
        _ cost: RetryCost,
        _ failure: any Error
    ) async throws -> NextStep {
        // Reserved before the wait: a waiting retry counts, and a call without a budget fails without a wait.
        var reservation: RetryBudget.Reservation?
        if let budget = policy.budget {
            guard let reserved = budget.reserve(cost) else { return giveUp(.budgetExhausted, failure) }
            reservation = consume reserved
        }
        let duration = Duration.nanoseconds(wait)
        policy.events.report(.retrying(attempt: state.attempt, after: duration, error: failure))
        let waitStart = policy.timeSource.now
        do {
            try await policy.timeSource.sleep(for: duration)
            // A sleep that has ended no longer throws, even if the task is cancelled before it resumes.
            try Task.checkCancellation()
        } catch {
            // The caller cancelled the task, or an owner moved the deadline and the deadline expired during the wait.
            if CancellationCause.current != .caller { return giveUp(.deadlineTooClose, failure) }
            throw error
        }
        // The task resumed after the deadline.
        if Deadline.current?.isExpired == true { return giveUp(.deadlineTooClose, failure) }
        reservation.take()?.use()
        state.attemptStarted(after: wait)
        attemptStart = policy.startAttempt()
        waited = attemptStart.reading.saturatingSubtract(waitStart)
        return .retry
    }

    private func giveUp(_ reason: RetryError.Reason, _ error: any Error) -> NextStep {
        let meaning = meaning(of: error)
        let final = RetryError(reason, log, lastError: error, meaning: meaning)
        policy.events.report(.gaveUp(final))
        let shouldRethrow = log.shouldRethrow(meaning, prefersLastError: policy.configuration.rethrowsLastError)
        return shouldRethrow ? .rethrow : .gaveUp(final)
    }
}

extension RetryStateMachine.Failure {
    fileprivate init(_ error: any Error, _ decision: RetryDecision, mayHaveBeenSent: Bool) {
        self.init(
            decision: decision,
            mayHaveBeenSent: mayHaveBeenSent,
            category: error.reliability?.category,
            isRejection: error.isRejection
        )
    }
}

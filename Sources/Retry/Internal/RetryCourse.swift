internal import ReliabilityCore

/// One call from its first failure on: judges each failed attempt, and waits before the next.
struct RetryCourse {
    /// What follows a failed attempt.
    enum Verdict {
        /// The wait is over: try again.
        case again
        /// The attempt's own end is the call's.
        case asItIs
        /// There is no further attempt.
        case gaveUp(RetryError)
    }

    private let policy: RetryPolicy
    private var state = RetryState()
    private var history = RetryHistory()
    /// When the call began.
    private let began: Int64
    /// The beginning of the attempt.
    private var start: AttemptStart
    private var waited: Int64 = 0

    init(_ policy: RetryPolicy, _ start: AttemptStart) {
        self.policy = policy
        self.start = start
        began = start.reading
    }

    /// How long the attempt has run.
    private var took: Int64 { policy.timeSource.now.saturatingSubtract(start.reading) }

    /// The meaning of an attempt's error: a rejection is one, whatever the user's map makes of all errors.
    private func meaning(of error: any Error) -> any Error {
        error.isRejection ? error : policy.map?(error) ?? error
    }

    /// Whether the attempt that threw this may have had an effect.
    private func wasPossiblySent(_ error: any Error) -> Bool {
        // In a pipeline it is known whether a rejection came before the operation had begun. Another error may come from
        // what a policy of the user's own did.
        if error.isRejection, let sends = start.sends, SendTracker.current?.count == sends { return false }
        return error.leavesOperationPossiblySent
    }

    /// An attempt failed.
    ///
    /// - Parameters:
    ///   - error: What it threw, or what stands for its result.
    ///   - decide: What is said of the error; asked only if that matters.
    /// - Returns: What follows; where there is a wait, after it.
    /// - Throws: `CancellationError` when the task is cancelled during the wait.
    mutating func attemptFailed(
        _ error: any Error,
        _ decide: (any Error) -> RetryDecision
    ) async throws -> Verdict {
        let took = took
        let cause = CancellationCause.current
        // The caller went away: its error is the answer, and nothing is counted or repeated.
        if cause == .caller {
            if history.isDenied(by: meaning(of: error)) { throw CancellationError() }
            return .asItIs
        }
        let isSuppressed = ExtraAttempt.suppressesCall(running: policy.timeSource.now.saturatingSubtract(began))
        if !isSuppressed {
            if state.attempt == 1 { policy.budget?.noteCall() }
            CallTrace.current?.note(.attempt(number: state.attempt, took: .nanoseconds(took), error: error))
        }
        let meaning = meaning(of: error)
        let wasPossiblySent = wasPossiblySent(meaning)
        history.append(error, meaning: meaning, wasPossiblySent: wasPossiblySent, waited: waited, took: took)
        if cause == .deadline || Deadline.current?.isExpired == true {
            // Why the earlier attempts failed says more than how this one was cut off.
            return state.attempt > 1 ? giveUp(.deadlineTooClose, error) : .asItIs
        }
        let failure = RetryState.Failure(meaning, decide(meaning), mayHaveBeenSent: wasPossiblySent)
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
                policy.events.emit(.suppressed(error: error))
                CallTrace.current?.note(.suppressed)
            }
            return .asItIs
        case .giveUp(let reason): return giveUp(reason, error)
        case .retry(let wait): return try await next(after: wait, failure.expense, error)
        }
    }

    /// An attempt after the first succeeded.
    func attemptSucceeded() {
        CallTrace.current?.note(.attempt(number: state.attempt, took: .nanoseconds(took), error: nil))
    }

    private mutating func next(
        after wait: Int64,
        _ expense: RetryBudget.Expense,
        _ failure: any Error
    ) async throws -> Verdict {
        // Asked before the wait: a retry that waits counts, and one that is refused does not wait for it.
        var reservation: RetryBudget.Reservation?
        if let budget = policy.budget {
            guard let reserved = budget.reserve(expense) else { return giveUp(.budgetExhausted, failure) }
            reservation = consume reserved
        }
        let duration = Duration.nanoseconds(wait)
        policy.events.emit(.retrying(attempt: state.attempt, after: duration, error: failure))
        CallTrace.current?.note(.waiting(duration))
        let ended = policy.timeSource.now
        do {
            try await policy.timeSource.sleep(for: duration)
            // A sleep that was over is not cancelled any more, though the task has not run since.
            try Task.checkCancellation()
        } catch {
            // The caller went away; or the deadline came, which has been moved since.
            if CancellationCause.current != .caller { return giveUp(.deadlineTooClose, failure) }
            throw error
        }
        // The task woke late.
        if Deadline.current?.isExpired == true { return giveUp(.deadlineTooClose, failure) }
        reservation.take()?.use()
        state.attemptBegins(after: wait)
        start = policy.attemptBegins()
        waited = start.reading.saturatingSubtract(ended)
        return .again
    }

    private func giveUp(_ reason: RetryError.Reason, _ error: any Error) -> Verdict {
        let meaning = meaning(of: error)
        let final = RetryError(reason, history, lastError: error, meaning: meaning)
        policy.events.emit(.gaveUp(final))
        CallTrace.current?.note(.gaveUp(final.code))
        let isTold = history.isTold(by: meaning, isEnough: policy.configuration.rethrowsLastError)
        return isTold ? .asItIs : .gaveUp(final)
    }
}

extension RetryState.Failure {
    fileprivate init(_ error: any Error, _ decision: RetryDecision, mayHaveBeenSent: Bool) {
        self.init(
            decision: decision,
            mayHaveBeenSent: mayHaveBeenSent,
            category: (error as? any ReliabilityError)?.category,
            isRejection: error.isRejection
        )
    }
}

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
    private var started: Int64
    private var waited: Int64 = 0

    init(_ policy: RetryPolicy, startedAt started: Int64) {
        self.policy = policy
        self.started = started
    }

    /// How long the attempt has run.
    private var took: Int64 { policy.timeSource.now.saturatingSubtract(started) }

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
        // The caller went away: its error is the answer, and nothing is counted or repeated.
        if Task.isCancelled {
            guard state.attempt > 1, Deadline.current?.isExpired == true else { return .asItIs }
            // It was the deadline: why the earlier attempts failed says more than how this one was cut off.
            history.append(error, meaning: error, waited: waited, took: took)
            return giveUp(.deadlineTooClose, error)
        }
        let isSuppressed = ExtraAttempts.areSuppressed
        if !isSuppressed {
            if state.attempt == 1 { policy.budget?.noteCall() }
            CallTrace.current?.note(.attempt(number: state.attempt, took: .nanoseconds(took), error: error))
        }
        let meaning = policy.map?(error) ?? error
        history.append(error, meaning: meaning, waited: waited, took: took)
        let failure = RetryState.Failure(meaning, decide(meaning))
        let action = state.attemptFailed(
            failure,
            configuration: policy.configuration,
            remaining: Deadline.current?.remaining.saturatingNanoseconds,
            isSuppressed: isSuppressed,
            random: policy.random
        )
        switch action {
        case .rethrow: return .asItIs
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
            // The caller went away; or the deadline, which has been moved since.
            if Deadline.current?.isExpired == true { return giveUp(.deadlineTooClose, failure) }
            throw error
        }
        // The task woke late.
        if Deadline.current?.isExpired == true { return giveUp(.deadlineTooClose, failure) }
        reservation.take()?.use()
        state.attemptBegins(after: wait)
        started = policy.timeSource.now
        waited = started.saturatingSubtract(ended)
        return .again
    }

    private func giveUp(_ reason: RetryError.Reason, _ error: any Error) -> Verdict {
        let meaning = policy.map?(error) ?? error
        let final = RetryError(reason, history, lastError: error, meaning: meaning)
        policy.events.emit(.gaveUp(final))
        CallTrace.current?.note(.gaveUp(final.code))
        let isTold = history.isTold(by: meaning, isEnough: policy.configuration.rethrowsLastError)
        return isTold ? .asItIs : .gaveUp(final)
    }
}

extension RetryState.Failure {
    fileprivate init(_ error: any Error, _ decision: RetryDecision) {
        let known = error as? any ReliabilityError
        self.init(
            decision: decision,
            mayHaveBeenSent: error.mayHaveBeenSent,
            category: known?.category,
            isRejection: known?.isRejection ?? false
        )
    }
}

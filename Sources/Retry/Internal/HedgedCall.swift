internal import ReliabilityCore

/// One call of a hedge policy: the attempts and the delay are child tasks, and what they report is handled here in turn.
struct HedgedCall<Success: Sendable> {
    /// What a child task reports.
    enum Event: Sendable {
        case delayElapsed(after: Int)
        case delayCancelled
        case ended(attempt: Int, Result<Success, any Error>, at: Int64)
    }

    private let policy: HedgePolicy
    private let operation: @Sendable (Int) async throws -> Success
    private let trace = CallTrace.current
    /// Whether the task was cancelled when the call began.
    private let wasCancelled = Task.isCancelled
    private let delay: Int64
    private var state: HedgeState
    /// When each attempt began; the first is attempt 1.
    private var starts: [Int64] = []
    private var failures: [HedgeError.Attempt] = []
    /// The first error that no attempt can mend.
    private var finalError: (any Error)?
    private var winner: Success?
    private var isCounted = false
    /// The calls that the attempts work on, where there is a deadline: an attempt that loses was cancelled by its caller,
    /// which is this policy, and not by the deadline.
    private var scopes: [DeadlineScope] = []

    init(_ policy: HedgePolicy, _ operation: @escaping @Sendable (Int) async throws -> Success) {
        self.policy = policy
        self.operation = operation
        state = HedgeState(maxHedges: policy.configuration.maxHedges)
        delay = policy.delay(now: policy.timeSource.now)
    }

    /// Runs the call to the end of all its attempts.
    mutating func run(
        in group: inout TaskGroup<Event>,
        disposing dispose: (@Sendable (Success) async -> Void)?
    ) async -> Result<Success, any Error> {
        start(1, in: &group)
        while let event = await group.next() {
            switch event {
            case .delayElapsed(let attempt):
                if winner == nil { follow(state.delayElapsed(after: attempt), in: &group) }
            case .delayCancelled:
                break
            case .ended(let attempt, .success(let value), let end):
                note(attempt, end: end, error: nil)
                if winner == nil {
                    winner = value
                    for scope in scopes { _ = scope.claim(scope.hasExpired ? .expired : .callerCancelled) }
                    group.cancelAll()
                    noteWin(of: attempt, end: end)
                } else if let dispose {
                    // In a task of its own, because what closes a connection must not be cancelled with the call.
                    await startTask(on: policy.timeSource.taskExecutor) { await dispose(value) }.value
                }
            case .ended(let attempt, .failure(let error), let end):
                note(attempt, end: end, error: error)
                if winner == nil { follow(attemptFailed(attempt, error, end: end), in: &group) }
            }
        }
        if let winner { return .success(winner) }
        return .failure(finish())
    }

    private mutating func start(_ attempt: Int, in group: inout TaskGroup<Event>) {
        let timeSource = policy.timeSource
        let start = timeSource.now
        starts.append(start)
        let scope = DeadlineScope.live.map { enclosing in
            DeadlineScope(NestedLimit(.max, of: enclosing.timeSource, now: enclosing.timeSource.now))
        }
        if let scope { scopes.append(scope) }
        group.addTask { [operation] in
            let result: Result<Success, any Error>
            do {
                let value = try await DeadlineScope.$innermost.withValue(scope) {
                    if attempt == 1 { return try await operation(attempt) }
                    return try await ExtraAttempt.run(timeSource) { try await operation(attempt) }
                }
                result = .success(value)
            } catch {
                result = .failure(error)
            }
            scope?.add(.hasEnded)
            return .ended(attempt: attempt, result, at: timeSource.now)
        }
        guard state.mayHedge else { return }
        // A hedge that would begin at the deadline has no time left.
        if let remaining = Deadline.current?.remaining, remaining <= .nanoseconds(delay) { return }
        let instant = start.saturatingAdd(delay)
        group.addTask {
            do {
                try await timeSource.sleep(until: instant)
                return .delayElapsed(after: attempt)
            } catch {
                return .delayCancelled
            }
        }
    }

    private mutating func follow(_ action: HedgeState.Action, in group: inout TaskGroup<Event>) {
        switch action {
        case .wait: break
        case .hedge: hedge(in: &group)
        // Nothing but a delay can be under way.
        case .fail: group.cancelAll()
        }
    }

    private mutating func hedge(in group: inout TaskGroup<Event>) {
        let attempt = state.started + 1
        let isTooLate = Task.isCancelled || Deadline.current?.isExpired == true
        if isTooLate { return follow(state.hedgeRefused(), in: &group) }
        countCall()
        guard policy.takeFromBudget(for: attempt) else { return follow(state.hedgeRefused(), in: &group) }
        state.hedgeStarted()
        start(attempt, in: &group)
        let after = Duration.nanoseconds(starts[attempt - 1].saturatingSubtract(starts[0]))
        policy.events.emit(.hedged(attempt: attempt, after: after))
        trace?.note(.hedged(number: attempt, after: after))
    }

    private mutating func attemptFailed(_ attempt: Int, _ error: any Error, end: Int64) -> HedgeState.Action {
        failures.append(
            HedgeError.Attempt(
                number: attempt,
                startedAfter: .nanoseconds(starts[attempt - 1].saturatingSubtract(starts[0])),
                took: took(attempt, end: end),
                error: error
            )
        )
        // The caller went away: nothing is measured, and nothing is tried again.
        let cause = CancellationCause.current
        if cause == .caller { return state.attemptFailed(canBeMended: false) }
        countCall()
        if attempt == 1, Outcome.ofThrown(error, wasCancelled: wasCancelled) == .failure {
            policy.noteFailure(took(1, end: end).saturatingNanoseconds, now: end)
        }
        let canBeMended = if case .retry = policy.classify(error) { true } else { false }
        if !canBeMended, finalError == nil { finalError = error }
        if cause == .deadline { return state.attemptFailed(canBeMended: false) }
        return state.attemptFailed(canBeMended: canBeMended)
    }

    private mutating func noteWin(of attempt: Int, end: Int64) {
        if state.started > 1 { policy.events.emit(.won(attempt: attempt)) }
        // Work that is cancelled often returns early instead of throwing: that is neither a success nor a latency.
        if Task.isCancelled { return }
        countCall()
        if attempt == 1 { policy.budget?.noteSuccess() }
        let firstHasFailed = failures.contains { $0.number == 1 }
        if !firstHasFailed { policy.noteLatency(took(1, end: end).saturatingNanoseconds, now: end) }
    }

    /// Tells the budget of the call, once, and not before it is sure that its caller has not cancelled it by then.
    private mutating func countCall() {
        if isCounted { return }
        isCounted = true
        policy.budget?.noteCall()
    }

    private func took(_ attempt: Int, end: Int64) -> Duration {
        .nanoseconds(end.saturatingSubtract(starts[attempt - 1]))
    }

    private func note(_ attempt: Int, end: Int64, error: (any Error)?) {
        trace?.note(.attempt(number: attempt, took: took(attempt, end: end), error: error))
    }

    /// The error of a call that has none but failed attempts.
    private func finish() -> any Error {
        // There is at least the first attempt.
        guard let last = failures.last else { return CancellationError() }
        if failures.count == 1 || CancellationCause.current == .caller { return last.error }
        let error = HedgeError(attempts: failures, decisiveError: finalError ?? last.error)
        policy.events.emit(.failed(error))
        return error
    }
}

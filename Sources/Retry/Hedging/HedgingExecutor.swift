internal import ReliabilityCore

/// Runs one call of a hedger.
///
/// The attempts and delays are child tasks. Their events are handled in turn.
struct HedgingExecutor<Success: Sendable> {
    /// The end of a child task.
    enum Event: Sendable {
        case delayElapsed(after: Int)
        case delayCancelled
        case ended(attempt: Int, Result<Success, any Error>, at: Int64)
    }

    private let hedger: Hedger
    private let operation: @Sendable (Int) async throws -> Success
    private let trace = CallTrace.current
    /// A Boolean value that indicates whether the task was cancelled at the start of the call.
    private let wasCancelledBefore = Task.isCancelled
    private let delay: Int64
    private var state: HedgeStateMachine
    /// The reading of the clock at the start of each attempt, in order from attempt 1.
    private var starts: [Int64] = []
    private var failures: [HedgeError.Attempt] = []
    /// The first error after which another attempt cannot succeed, or `nil` if there is none.
    private var nonRetryableError: (any Error)?
    private var winner: Success?
    private var isCounted = false
    /// The deadline scopes of the attempts, empty without a deadline.
    private var scopes: [DeadlineScope] = []

    init(_ hedger: Hedger, _ operation: @escaping @Sendable (Int) async throws -> Success) {
        self.hedger = hedger
        self.operation = operation
        state = HedgeStateMachine(maxHedges: hedger.configuration.maxHedges)
        delay = hedger.delay(now: hedger.timeSource.now)
    }

    /// Runs the call until all its attempts have ended.
    mutating func run(
        in group: inout TaskGroup<Event>,
        disposing dispose: (@Sendable (Success) async -> Void)?
    ) async -> Result<Success, any Error> {
        start(1, in: &group)
        while let event = await group.next() {
            switch event {
            case .delayElapsed(let attempt):
                if winner == nil { perform(state.delayElapsed(after: attempt), in: &group) }
            case .delayCancelled:
                break
            case .ended(let attempt, .success(let value), let end):
                record(attempt, end: end, error: nil)
                if winner == nil {
                    winner = value
                    // The hedger cancels the other attempts as their caller. Their deadline has not expired.
                    for scope in scopes { _ = scope.recordCause(scope.hasExpired ? .expired : .callerCancelled) }
                    group.cancelAll()
                    recordWin(of: attempt, end: end)
                } else if let dispose {
                    // In its own task, because the cancellation of the call must not cancel the disposal.
                    await startTask(on: hedger.timeSource.taskExecutor) { await dispose(value) }.value
                }
            case .ended(let attempt, .failure(let error), let end):
                record(attempt, end: end, error: error)
                if winner == nil { perform(attemptFailed(attempt, error, end: end), in: &group) }
            }
        }
        if let winner { return .success(winner) }
        return .failure(finish())
    }

    private mutating func start(_ attempt: Int, in group: inout TaskGroup<Event>) {
        let timeSource = hedger.timeSource
        let start = timeSource.now
        starts.append(start)
        let scope = DeadlineScope.live.map { enclosing in
            DeadlineScope(Deadline(instant: .max, timeSource: enclosing.timeSource))
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
        guard state.canStartHedge else { return }
        // A hedge that begins at the deadline has no time left.
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

    private mutating func perform(_ action: HedgeStateMachine.Action, in group: inout TaskGroup<Event>) {
        switch action {
        case .wait: break
        case .hedge: hedge(in: &group)
        // No attempt is running. Only a delay can be pending.
        case .fail: group.cancelAll()
        }
    }

    private mutating func hedge(in group: inout TaskGroup<Event>) {
        let attempt = state.started + 1
        let isTooLate = Task.isCancelled || Deadline.current?.isExpired == true
        if isTooLate { return perform(state.hedgeRejected(), in: &group) }
        countCall()
        guard hedger.consumeBudget(for: attempt) else { return perform(state.hedgeRejected(), in: &group) }
        state.hedgeStarted()
        start(attempt, in: &group)
        let after = Duration.nanoseconds(starts[attempt - 1].saturatingSubtract(starts[0]))
        hedger.events.report(.hedged(attempt: attempt, after: after), in: trace)
    }

    private mutating func attemptFailed(_ attempt: Int, _ error: any Error, end: Int64) -> HedgeStateMachine.Action {
        failures.append(
            HedgeError.Attempt(
                number: attempt,
                startedAfter: .nanoseconds(starts[attempt - 1].saturatingSubtract(starts[0])),
                took: took(attempt, end: end),
                error: error
            )
        )
        // The caller has cancelled the call. Nothing is recorded and nothing is repeated.
        let cause = CancellationCause.current
        if cause == .caller { return state.attemptFailed(isRetryable: false) }
        countCall()
        if attempt == 1, Outcome.ofThrown(error, wasCancelledBefore: wasCancelledBefore) == .failure {
            hedger.recordFailure(took(1, end: end).saturatingNanoseconds, now: end)
        }
        let isRetryable = if case .retry = hedger.classify(error) { true } else { false }
        if !isRetryable, nonRetryableError == nil { nonRetryableError = error }
        if cause == .deadline { return state.attemptFailed(isRetryable: false) }
        return state.attemptFailed(isRetryable: isRetryable)
    }

    private mutating func recordWin(of attempt: Int, end: Int64) {
        if state.started > 1 { hedger.events.emit(.won(attempt: attempt)) }
        // A cancelled operation often returns early instead of throwing. Its end is neither a success nor a latency.
        if Task.isCancelled { return }
        countCall()
        if attempt == 1 { hedger.budget?.recordSuccess() }
        let firstHasFailed = failures.contains { $0.number == 1 }
        if !firstHasFailed { hedger.recordLatency(took(1, end: end).saturatingNanoseconds, now: end) }
    }

    /// Records the call in the budget once.
    private mutating func countCall() {
        // Not at the start of the call, because a call that its caller cancels does not count.
        if isCounted { return }
        isCounted = true
        hedger.budget?.recordCall()
    }

    private func took(_ attempt: Int, end: Int64) -> Duration {
        .nanoseconds(end.saturatingSubtract(starts[attempt - 1]))
    }

    private func record(_ attempt: Int, end: Int64, error: (any Error)?) {
        trace?.record(.attempt(number: attempt, took: took(attempt, end: end), error: error))
    }

    /// Returns the error of a failed call and reports the event.
    private func finish() -> any Error {
        // A call without a success has at least the failure of its first attempt.
        guard let last = failures.last else { return CancellationError() }
        if failures.count == 1 || CancellationCause.current == .caller { return last.error }
        let error = HedgeError(attempts: failures, decisiveError: nonRetryableError ?? last.error)
        hedger.events.emit(.failed(error))
        return error
    }
}

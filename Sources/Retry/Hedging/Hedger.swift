internal import ReliabilityCore

/// Starts another attempt of a call if the answer is late, and returns the first answer.
///
/// ```swift
/// let hedge = Hedger(.quantile(0.95, initial: .milliseconds(50)))
/// let profile = try await hedge.run { attempt in
///     try await replicas[attempt % replicas.count].page(id)
/// }
/// ```
///
/// Hedge only calls that may run twice simultaneously without harm, in practice reads. Both attempts may have an
/// effect.
///
/// - The first success is the result, even if another attempt failed before. If every started attempt has failed and
///   another attempt can succeed, the next attempt starts without a delay.
/// - A success cancels the other attempts and waits for their end. The operation should end soon after its
///   cancellation. A value that a cancelled attempt still returns is disposed of exactly once.
/// - Each hedge consumes from the ``RetryBudget``. With an exhausted budget there is no hedge, and running attempts
///   continue.
/// - No hedge starts if the ``ReliabilityCore/Deadline`` of the task comes first.
/// - A call inside another hedge, or inside a later attempt of a retry, is not hedged. The exceptions are a call that
///   begins more than a minute after that attempt, and a call inside ``ReliabilityCore/withoutCallContext(_:)``.
/// - The cancellation of the task cancels all attempts and starts none.
///
/// The operation runs concurrently with itself and with its caller. The operation is therefore `@Sendable`, and a
/// hedger is no `CallPolicy`. A pipeline inside the operation applies to each attempt. A pipeline around the hedger
/// applies to the whole call.
///
/// Share a hedger among all calls to the same dependency, because the hedger measures their latency.
public final class Hedger: Sendable {
    /// The delay and the number of hedges.
    public let configuration: Configuration
    let budget: RetryBudget?
    let classify: @Sendable (any Error) -> RetryDecision
    let timeSource: TimeSource
    let events: EventSink<HedgeEvent>
    /// The measured latencies, or `nil` for a fixed delay.
    private let latencies: Lock<LatencyWindow?>

    /// Creates a hedger from a configuration.
    ///
    /// - Parameters:
    ///   - configuration: The delay and the number of hedges.
    ///   - budget: The bound on the hedges and retries of all calls that share the budget, or `nil` for no bound.
    ///     Defaults to `nil`.
    ///   - classify: The decision about an error. After a decision other than ``RetryDecision/retry``, no further
    ///     attempt starts and running attempts continue. Defaults to ``RetryDecision/standard(for:)``.
    ///   - clock: The clock of delays and latencies. Defaults to `ContinuousClock`.
    ///   - observer: Receives the events. Defaults to `nil`.
    public init(
        _ configuration: Configuration,
        budget: RetryBudget? = nil,
        classify: @escaping @Sendable (any Error) -> RetryDecision = RetryDecision.standard(for:),
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (HedgeEvent) -> Void)? = nil
    ) {
        requireValid(configuration.validate)
        self.configuration = configuration
        self.budget = budget
        self.classify = classify
        timeSource = TimeSource(clock)
        events = EventSink(observer)
        switch configuration.delay.kind {
        case .fixed: latencies = Lock(nil)
        case .quantile(let rule): latencies = Lock(LatencyWindow(rule))
        }
    }

    /// The present delay before a hedge.
    ///
    /// Reading the delay has no effect on the hedger.
    public var delay: Duration {
        switch configuration.delay.kind {
        case .fixed(let delay): return delay
        case .quantile(let rule):
            let now = timeSource.now
            return .nanoseconds(latencies.withLock { $0?.peekDelay(now: now) } ?? rule.initialNanoseconds)
        }
    }

    /// Runs the operation, and further attempts if the answer is late, until an attempt succeeds or all have failed.
    ///
    /// ```swift
    /// let hedge = Hedger(.after(.milliseconds(50)))
    /// let connection = try await hedge.run { _ in
    ///     try await pool.connect()
    /// } disposing: { late in
    ///     await late.close()
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - operation: The operation. The closure receives the number of the attempt, from 1.
    ///   - dispose: Receives each value after the first value, in a task that is not cancelled. The call waits for the
    ///     end of the closure. Defaults to `nil`.
    /// - Returns: The value of the attempt that succeeded first.
    /// - Throws: The error of the operation if there was a single attempt. ``HedgeError`` if several attempts all
    ///   failed. The error of the attempt that ended last if the task was cancelled.
    nonisolated(nonsending) public func run<Success: Sendable>(
        _ operation: @escaping @Sendable (_ attempt: Int) async throws -> Success,
        disposing dispose: (@Sendable (Success) async -> Void)? = nil
    ) async throws -> Success {
        // An extra attempt of an enclosing policy counts neither as a call nor as a first answer.
        if ExtraAttempt.suppressesCall() {
            events.report(.suppressed)
            return try await operation(1)
        }
        let result = await withTaskGroup(of: HedgingExecutor<Success>.Event.self) { group in
            var executor = HedgingExecutor(self, operation)
            return await executor.run(in: &group, disposing: dispose)
        }
        return try result.get()
    }

    /// Consumes a hedge from the budget, or returns `false` if the budget is exhausted.
    func consumeBudget(for attempt: Int) -> Bool {
        guard let budget else { return true }
        guard let reservation = budget.reserve(.hedge) else {
            events.emit(.budgetExhausted(attempt: attempt))
            return false
        }
        reservation.use()
        return true
    }

    /// The delay for a call that begins now.
    func delay(now: Int64) -> Int64 {
        switch configuration.delay.kind {
        case .fixed(let delay): delay.saturatingNanoseconds
        case .quantile(let rule): latencies.withLock { $0?.delay(now: now) } ?? rule.initialNanoseconds
        }
    }

    /// Records the latency of a first attempt that succeeded or lost to a hedge.
    func recordLatency(_ took: Int64, now: Int64) {
        guard case .quantile = configuration.delay.kind else { return }
        latencies.withLock { $0?.record(took, now: now) }
    }

    /// Records the latency of a first attempt that failed.
    func recordFailure(_ took: Int64, now: Int64) {
        guard case .quantile = configuration.delay.kind else { return }
        latencies.withLock { $0?.recordFailure(took, now: now) }
    }
}

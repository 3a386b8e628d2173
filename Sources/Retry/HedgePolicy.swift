internal import ReliabilityCore

/// Starts a call again when its answer is late, and takes the first answer that comes.
///
/// ```swift
/// let hedge = HedgePolicy(after: .quantile(0.95, initial: .milliseconds(50)))
/// let profile = try await hedge.run { attempt in
///     try await replicas[attempt % replicas.count].profile(of: user)
/// }
/// ```
///
/// It is for calls that may happen twice and at once without harm, in practice reads: both attempts may take effect.
///
/// - Any success wins, even if another attempt failed before. When every attempt that was started has failed and
///   another may help, the next is started without delay.
/// - The attempts that are still under way when one succeeds are cancelled and waited for, so the operation should end
///   soon when it is cancelled. A value that such an attempt returns nevertheless is disposed of, exactly once.
/// - With a budget, each hedge takes from it. When nothing is left, there is no hedge, and what is under way goes on.
/// - No hedge is started when the ``ReliabilityCore/Deadline`` of the task comes first, nor inside another hedge or a
///   retry's further attempt, unless the call begins more than a minute after that one or inside
///   ``ReliabilityCore/withoutCallContext(_:)``.
/// - When the task is cancelled, all attempts are, and no further one is started.
///
/// The operation runs concurrently with itself and with its caller, so it is `@Sendable` and this is no `CallPolicy`. Put
/// a pipeline inside it for what concerns each attempt, such as a circuit breaker, and around it for what concerns the
/// whole call, such as a timeout.
///
/// Share one policy among all calls to one dependency: it measures their latency.
public final class HedgePolicy: Sendable {
    /// When another attempt is started, and how many.
    public let configuration: HedgeConfiguration
    let budget: RetryBudget?
    let classify: @Sendable (any Error) -> RetryDecision
    let timeSource: TimeSource
    let events: EventSink<HedgeEvent>
    /// Nil for a fixed delay.
    private let latencies: Lock<LatencyWindow?>

    /// Creates a policy from a configuration.
    ///
    /// - Parameters:
    ///   - configuration: When another attempt is started, and how many.
    ///   - budget: Bounds the hedges of many calls together, and the retries that share it.
    ///   - classify: Which errors may pass. After one that is not ``RetryDecision/retry``, no further attempt is
    ///     started, and those under way go on.
    ///   - clock: Measures delays and latencies.
    ///   - observer: Is told of hedges and of how they end.
    public init(
        _ configuration: HedgeConfiguration,
        budget: RetryBudget? = nil,
        classify: @escaping @Sendable (any Error) -> RetryDecision = RetryDecision.standard(for:),
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (HedgeEvent) -> Void)? = nil
    ) {
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

    /// Creates a policy that makes at most one further attempt.
    ///
    /// - Parameters:
    ///   - delay: How late an answer must be.
    ///   - budget: Bounds the hedges of many calls together, and the retries that share it.
    ///   - classify: Which errors may pass.
    ///   - clock: Measures delays and latencies.
    ///   - observer: Receives hedges and their ends.
    public convenience init(
        after delay: HedgeDelay,
        budget: RetryBudget? = nil,
        classify: @escaping @Sendable (any Error) -> RetryDecision = RetryDecision.standard(for:),
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (HedgeEvent) -> Void)? = nil
    ) {
        self.init(
            HedgeConfiguration(after: delay),
            budget: budget,
            classify: classify,
            clock: clock,
            observer: observer
        )
    }

    /// How late an answer must be now.
    ///
    /// Asking changes nothing.
    public var delay: Duration {
        switch configuration.delay.kind {
        case .fixed(let delay): return .nanoseconds(delay)
        case .quantile(let rule):
            let now = timeSource.now
            return .nanoseconds(latencies.withLock { $0?.peekDelay(now: now) } ?? rule.initial)
        }
    }

    /// Runs `operation`, and once more beside itself when it is late, until one attempt succeeds or all have failed.
    ///
    /// ```swift
    /// let connection = try await hedge.run { _ in
    ///     try await pool.connect()
    /// } disposing: { late in
    ///     await late.close()
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - operation: The work; it gets the number of the attempt, from 1.
    ///   - dispose: Gets each value that came after the first, in a task that is not cancelled, and is waited for.
    /// - Returns: The value of the attempt that succeeded first.
    /// - Throws: What `operation` throws when there was one attempt; ``HedgeError`` when there were several and all
    ///   failed; the error of the attempt that ended last when the task was cancelled.
    nonisolated(nonsending) public func run<Success: Sendable>(
        _ operation: @escaping @Sendable (_ attempt: Int) async throws -> Success,
        disposing dispose: (@Sendable (Success) async -> Void)? = nil
    ) async throws -> Success {
        // An attempt of an attempt: it is neither a call to count nor a first answer to measure.
        if ExtraAttempt.suppressesCall() {
            events.emit(.suppressed)
            CallTrace.current?.note(.suppressed)
            return try await operation(1)
        }
        let result = await withTaskGroup(of: HedgedCall<Success>.Event.self) { group in
            var call = HedgedCall(self, operation)
            return await call.run(in: &group, disposing: dispose)
        }
        return try result.get()
    }

    /// Pays for another attempt; false when there is nothing left.
    func takeFromBudget(for attempt: Int) -> Bool {
        guard let budget else { return true }
        guard let reservation = budget.reserve(.hedge) else {
            events.emit(.budgetExhausted(attempt: attempt))
            return false
        }
        reservation.use()
        return true
    }

    /// How late an answer must be, for a call that begins.
    func delay(now: Int64) -> Int64 {
        switch configuration.delay.kind {
        case .fixed(let delay): delay
        case .quantile(let rule): latencies.withLock { $0?.delay(now: now) } ?? rule.initial
        }
    }

    /// A first attempt answered after `took`, or was cancelled then because a hedge had answered.
    func noteLatency(_ took: Int64, now: Int64) {
        guard case .quantile = configuration.delay.kind else { return }
        latencies.withLock { $0?.record(took, now: now) }
    }

    /// A first attempt failed after `took`.
    func noteFailure(_ took: Int64, now: Int64) {
        guard case .quantile = configuration.delay.kind else { return }
        latencies.withLock { $0?.recordFailure(took, now: now) }
    }
}

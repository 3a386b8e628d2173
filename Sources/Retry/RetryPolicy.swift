public import ReliabilityCore

/// Runs a call again when it fails in a way that may pass.
///
/// ```swift
/// let retry = RetryPolicy(.idempotent, maxAttempts: 4)
/// let page = try await retry.run {
///     try await fetch(url)
/// }
/// ```
///
/// The number of attempts is bounded, the waits grow and are jittered, a dependency's `retryAfter` is never undercut,
/// and no wait begins that cannot end before the ``ReliabilityCore/Deadline`` of the task. When the task is cancelled,
/// there is no further attempt. An attempt that another policy rejects, such as an open circuit breaker, is the last, unless
/// ``RetryConfiguration/maximumRejectionWait`` allows to wait for it. A call that is ``Idempotency/notIdempotent`` is tried
/// again only when it surely was not sent. A ``RetryBudget`` bounds the retries of all calls that share it.
///
/// A call that makes one attempt throws what the attempt threw: a retry does not change the error of a call that it does not
/// repeat. After several attempts, a call that is given up throws a ``RetryError``.
///
/// Of nested retry policies, the outer one does not repeat what the inner one gave up after several attempts, and while the
/// outer one repeats, the inner one makes one attempt each time. So two that make at most a and b attempts make at most
/// a + b − 1 together. The bound holds for inner calls that begin within a minute of the outer attempt. A later inner call,
/// and one inside ``ReliabilityCore/withoutCallContext(_:)``, has all its attempts.
///
/// A policy has no state between calls, but for its budget: share one, or make one for each call.
public struct RetryPolicy: CallPolicy {
    /// How often a call is tried, and how long apart.
    public let configuration: RetryConfiguration
    let classify: @Sendable (any Error) -> RetryDecision
    /// What an error from elsewhere means, or `nil` if no error has another meaning than its own.
    let map: (@Sendable (any Error) -> (any ReliabilityError)?)?
    @usableFromInline let budget: RetryBudget?
    let timeSource: TimeSource
    let random: RandomSource
    let events: EventSink<RetryEvent>

    /// Creates a policy from a configuration.
    ///
    /// - Parameters:
    ///   - configuration: How often a call is tried, and how long apart.
    ///   - classify: Which errors may pass. It may be slow, and may call back into the policy.
    ///   - budget: Bounds the retries of all calls that share it.
    ///   - clock: Measures the waits.
    ///   - randomness: Where jitter comes from.
    ///   - observer: Is told of retries and of giving up.
    public init(
        _ configuration: RetryConfiguration,
        classify: @escaping @Sendable (any Error) -> RetryDecision = RetryDecision.standard(for:),
        budget: RetryBudget? = nil,
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (RetryEvent) -> Void)? = nil
    ) {
        self.init(
            configuration,
            classify: classify,
            map: nil,
            budget: budget,
            clock: clock,
            randomness: randomness,
            observer: observer
        )
    }

    /// Creates a policy that judges what an error means in place of the error.
    package init(
        _ configuration: RetryConfiguration,
        classify: @escaping @Sendable (any Error) -> RetryDecision = RetryDecision.standard(for:),
        map: (@Sendable (any Error) -> (any ReliabilityError)?)?,
        budget: RetryBudget? = nil,
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (RetryEvent) -> Void)? = nil
    ) {
        self.configuration = configuration
        self.classify = classify
        self.map = map
        self.budget = budget
        timeSource = TimeSource(clock)
        random = RandomSource(randomness)
        events = EventSink(observer)
    }

    /// Creates a policy with a number of attempts.
    ///
    /// - Parameters:
    ///   - idempotency: Whether the call may happen twice without harm.
    ///   - maxAttempts: The most attempts, the first included.
    ///   - backoff: The waits between attempts.
    ///   - classify: Which errors may pass.
    ///   - budget: Bounds the retries of all calls that share it.
    ///   - clock: Measures the waits.
    ///   - randomness: Where jitter comes from.
    ///   - observer: Receives retries and calls that are given up.
    /// - Precondition: `maxAttempts` is at least 1.
    public init(
        _ idempotency: Idempotency,
        maxAttempts: Int = 3,
        backoff: Backoff = .exponential(),
        classify: @escaping @Sendable (any Error) -> RetryDecision = RetryDecision.standard(for:),
        budget: RetryBudget? = nil,
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (RetryEvent) -> Void)? = nil
    ) {
        self.init(
            RetryConfiguration(idempotency, maxAttempts: maxAttempts, backoff: backoff),
            classify: classify,
            budget: budget,
            clock: clock,
            randomness: randomness,
            observer: observer
        )
    }

    /// One layer, with the most attempts and the longest waits, those that a dependency asks for included.
    public var layers: [PolicyLayer] {
        let summary = "up to \(configuration.maxAttempts) attempts, \(configuration.backoff)"
        return [
            PolicyLayer(
                .retry,
                configuration.idempotency == .idempotent ? summary : "\(summary), only what was not sent",
                attempts: configuration.maxAttempts,
                waits: configuration.longestWaits,
                plannedWaits: configuration.longestBackoff,
                addsUp: true,
                tracksSends: tracksSends,
                rejectionWaits: configuration.maxAttempts > 1 ? configuration.maximumRejectionWait : .zero
            )
        ]
    }

    /// Runs `operation` until it succeeds, fails for good, or there is no attempt left.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What the first successful attempt returns.
    /// - Throws: The attempt's error as it is when there was one attempt, when no further attempt can help, or when every
    ///   attempt was rejected before a pipeline began its operation; otherwise ``RetryError``. `CancellationError` when the
    ///   task is cancelled during a wait.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await run(retryingResult: { _ in .stop }, operation)
    }

    /// Runs `operation` until its result is good enough, it fails for good, or there is no attempt left.
    ///
    /// ```swift
    /// let response = try await retry.run(retryingResult: { $0.status == 503 ? .retry : .stop }) {
    ///     try await client.get(url)
    /// }
    /// ```
    ///
    /// When there is no further attempt, the last result is returned, good or not; ``RetryEvent/gaveUp(_:)`` tells the
    /// observer why. Whatever gave a result was sent: that of a call that is ``Idempotency/notIdempotent`` is returned
    /// at once.
    ///
    /// - Parameters:
    ///   - decide: Whether a result is tried again; ``RetryDecision/stop`` for one that is good enough.
    ///   - operation: The work; it keeps the caller's isolation.
    /// - Returns: The first good result, or the last one.
    /// - Throws: As ``run(_:)``, when the last attempt threw.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        retryingResult decide: (Success) -> RetryDecision,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        // What is inlined is the call that succeeds at once; all that another end needs is in `runAgain`.
        let start = callBegins()
        let success: Success
        do {
            success = try await operation()
        } catch {
            return try await runAgain(after: .threw(error), startingAt: start, decide, operation)
        }
        let decision = decide(success)
        guard case .stop = decision else {
            return try await runAgain(after: .returned(success, decision), startingAt: start, decide, operation)
        }
        if budget != nil { callSucceededAtOnce(start) }
        return success
    }

    @usableFromInline
    func callBegins() -> AttemptStart { attemptBegins() }

    /// Whether it matters to a call that it is known not to have been sent: for another attempt, or for what it throws.
    private var tracksSends: Bool {
        configuration.idempotency == .notIdempotent || configuration.maximumRejectionWait > .zero
    }

    func attemptBegins() -> AttemptStart {
        AttemptStart(
            reading: timeSource.now,
            sends: tracksSends ? SendTracker.current?.count : nil
        )
    }

    /// Tells the budget of a call that needed no other attempt.
    ///
    /// A call is counted when its first attempt has ended, not before: one that its caller cancels is no call to the
    /// budget. Nor is one that is itself an extra attempt.
    @usableFromInline
    func callSucceededAtOnce(_ start: AttemptStart) {
        // Work that is cancelled often returns early instead of throwing.
        guard let budget, !Task.isCancelled else { return }
        if ExtraAttempt.suppressesCall(running: timeSource.now.saturatingSubtract(start.reading)) { return }
        budget.noteCall()
        budget.noteSuccess()
    }

    /// Continues after a first attempt that failed.
    @inline(never)
    @usableFromInline
    nonisolated(nonsending) func runAgain<Success>(
        after first: AttemptEnd<Success>,
        startingAt start: AttemptStart,
        _ decide: (Success) -> RetryDecision,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        var course = RetryCourse(self, start)
        var end = first
        while true {
            let verdict: RetryCourse.Verdict
            switch end {
            case .succeeded(let success):
                course.attemptSucceeded()
                return success
            case .returned(_, let decision):
                verdict = try await course.attemptFailed(UnwantedResultError(decision)) { _ in decision }
            case .threw(let error):
                verdict = try await course.attemptFailed(error, classify)
            }
            switch (verdict, end) {
            case (.again, _):
                end = await ExtraAttempt.run(timeSource) { await AttemptEnd(decide, operation) }
            case (_, .succeeded(let success)), (_, .returned(let success, _)): return success
            case (.asItIs, .threw(let error)): throw error
            case (.gaveUp(let error), .threw): throw error
            }
        }
    }
}

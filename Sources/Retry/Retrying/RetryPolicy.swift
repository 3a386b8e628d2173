public import ReliabilityCore

/// Runs a call and retries failures that can pass.
///
/// ```swift
/// let retry = RetryPolicy(.idempotent(maxAttempts: 4))
/// let page = try await retry.run {
///     try await fetch(url)
/// }
/// ```
///
/// - The number of attempts is bounded. The waits between attempts grow and have jitter.
/// - No wait is shorter than the `retryAfter` of the dependency.
/// - A wait starts only if the wait ends before the ``ReliabilityCore/Deadline`` of the task.
/// - A cancelled call makes no further attempt.
/// - An attempt that another policy rejects is the last attempt. ``Configuration/maxRejectionWait`` allows to wait for
///   another attempt.
/// - A call that is ``Idempotency/notIdempotent`` is retried only if nothing was sent.
/// - A ``RetryBudget`` bounds the retries of all calls that share the budget.
///
/// A call with a single attempt throws the error of that attempt. A call that is given up after several attempts throws
/// a ``RetryError``.
///
/// Two nested policies of at most a and b attempts make at most a + b − 1 attempts together. By default the outer
/// policy does not repeat a call that the inner policy gave up after several attempts. While the outer policy repeats,
/// the inner policy makes a single attempt each time. The bound holds for inner calls that begin within a minute of the
/// outer attempt. A later inner call has all its attempts. So has a call inside
/// ``ReliabilityCore/withoutCallContext(_:)``.
///
/// A policy without a budget has no state between calls. Calls may share a policy or create their own.
public struct RetryPolicy: CallPolicy {
    /// The attempts and waits of a call.
    public let configuration: Configuration
    let classify: @Sendable (any Error) -> RetryDecision
    /// The mapping of thrown errors, or `nil` if no error is mapped.
    let classifyForeign: (@Sendable (any Error) -> (any ReliabilityError)?)?
    @usableFromInline let budget: RetryBudget?
    let timeSource: TimeSource
    let random: RandomSource
    let events: EventSink<RetryEvent>

    /// Creates a policy from a configuration.
    ///
    /// - Parameters:
    ///   - configuration: The attempts and waits of a call.
    ///   - budget: The bound on the retries of all calls that share the budget, or `nil` for no bound. Defaults to
    ///     `nil`.
    ///   - classify: The decision about an error. The closure may block and may call the policy. Defaults to
    ///     ``RetryDecision/standard(for:)``.
    ///   - clock: The clock of attempts and waits. Defaults to `ContinuousClock`.
    ///   - randomness: The source of randomness for jitter. Defaults to `SystemRandomNumberGenerator`.
    ///   - observer: Receives the events. Defaults to `nil`.
    public init(
        _ configuration: Configuration,
        budget: RetryBudget? = nil,
        classify: @escaping @Sendable (any Error) -> RetryDecision = RetryDecision.standard(for:),
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (RetryEvent) -> Void)? = nil
    ) {
        self.init(
            configuration,
            budget: budget,
            classify: classify,
            classifyForeign: nil,
            clock: clock,
            randomness: randomness,
            observer: observer
        )
    }

    /// Creates a policy that judges a mapped error instead of the thrown error.
    package init(
        _ configuration: Configuration,
        budget: RetryBudget? = nil,
        classify: @escaping @Sendable (any Error) -> RetryDecision = RetryDecision.standard(for:),
        classifyForeign: (@Sendable (any Error) -> (any ReliabilityError)?)?,
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (RetryEvent) -> Void)? = nil
    ) {
        requireValid(configuration.validate)
        self.configuration = configuration
        self.classify = classify
        self.classifyForeign = classifyForeign
        self.budget = budget
        timeSource = TimeSource(clock)
        random = RandomSource(randomness)
        events = EventSink(observer)
    }

    /// A single layer with the most attempts and the longest waits, including waits that a dependency asks for.
    public var layers: [PolicyLayer] {
        let summary = "up to \(configuration.maxAttempts) attempts, \(configuration.backoff)"
        return [
            PolicyLayer(
                .retry,
                configuration.idempotency == .idempotent ? summary : "\(summary), only if nothing was sent",
                attempts: configuration.maxAttempts,
                waits: configuration.maxTotalWait,
                plannedWaits: configuration.maxTotalBackoff,
                collapsesWhenNested: true,
                tracksSends: tracksSends,
                rejectionWaits: configuration.maxAttempts > 1 ? configuration.maxRejectionWait : .zero
            )
        ]
    }

    /// Runs the operation until an attempt succeeds or the policy makes no further attempt.
    ///
    /// - Parameter operation: The operation. The closure keeps the caller's isolation.
    /// - Returns: The value of the first successful attempt.
    /// - Throws: ``RetryError`` if the policy gives up after several attempts, otherwise the error of the last attempt.
    ///   A call in a pipeline whose operation never began throws its last rejection. `CancellationError` if the task is
    ///   cancelled during a wait. See also ``Configuration/rethrowsLastError``.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await run(classifyResult: { _ in .stop }, operation)
    }

    /// Runs the operation until an attempt returns an acceptable result or the policy makes no further attempt.
    ///
    /// ```swift
    /// let retry = RetryPolicy(.idempotent)
    /// let rates = try await retry.run(classifyResult: { $0.isEmpty ? .retry : .stop }) {
    ///     try await bank.rates()
    /// }
    /// ```
    ///
    /// A call that is given up returns its last result. The observer receives ``RetryEvent/gaveUp(_:)`` with the
    /// reason.
    ///
    /// An attempt that returned a result was sent. A call that is ``Idempotency/notIdempotent`` therefore returns its
    /// first result.
    ///
    /// - Parameters:
    ///   - decide: The decision about a result. ``RetryDecision/stop`` accepts the result.
    ///   - operation: The operation. The closure keeps the caller's isolation.
    /// - Returns: The first acceptable result, or the last result.
    /// - Throws: The same errors as ``run(_:)`` if the last attempt threw.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        classifyResult decide: (Success) -> RetryDecision,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        // Only a call whose first attempt succeeds is inlined. Every other end is in `runRemainingAttempts`.
        let start = startAttempt()
        let success: Success
        do {
            success = try await operation()
        } catch {
            return try await runRemainingAttempts(after: .threw(error), startingAt: start, decide, operation)
        }
        let decision = decide(success)
        guard case .stop = decision else {
            return try await runRemainingAttempts(
                after: .returned(success, decision),
                startingAt: start,
                decide,
                operation
            )
        }
        if budget != nil { firstAttemptSucceeded(start) }
        return success
    }

    /// A Boolean value that indicates whether the policy needs to know that a rejected attempt was not sent.
    private var tracksSends: Bool {
        configuration.idempotency == .notIdempotent || configuration.maxRejectionWait > .zero
    }

    @usableFromInline
    func startAttempt() -> AttemptStart {
        AttemptStart(reading: timeSource.now, sends: tracksSends ? SendTracker.current?.count : nil)
    }

    /// Records in the budget that the first attempt of a call succeeded.
    ///
    /// The budget counts a call at the end of its first attempt. The budget counts no call that the caller has
    /// cancelled, and no call that is part of an extra attempt.
    @usableFromInline
    func firstAttemptSucceeded(_ start: AttemptStart) {
        // A cancelled operation often returns early instead of throwing.
        guard let budget, !Task.isCancelled else { return }
        if ExtraAttempt.suppressesCall(running: timeSource.now.saturatingSubtract(start.reading)) { return }
        budget.recordCall()
        budget.recordSuccess()
    }

    /// Continues a call after the failure of its first attempt.
    @inline(never)
    @usableFromInline
    nonisolated(nonsending) func runRemainingAttempts<Success>(
        after first: AttemptResult<Success>,
        startingAt start: AttemptStart,
        _ decide: (Success) -> RetryDecision,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        var executor = RetryExecutor(self, start)
        var end = first
        while true {
            let next: RetryExecutor.NextStep
            switch end {
            case .succeeded(let success):
                executor.attemptSucceeded()
                return success
            case .returned(_, let decision):
                next = try await executor.attemptFailed(UnwantedResultError(decision)) { _ in decision }
            case .threw(let error):
                next = try await executor.attemptFailed(error, classify)
            }
            switch (next, end) {
            case (.retry, _):
                end = await ExtraAttempt.run(timeSource) { await AttemptResult(decide, operation) }
            case (_, .succeeded(let success)), (_, .returned(let success, _)): return success
            case (.rethrow, .threw(let error)): throw error
            case (.gaveUp(let error), .threw): throw error
            }
        }
    }
}

public import ReliabilityCore

/// Runs a call again when it fails in a way that may pass.
///
/// ```swift
/// let retry = RetryPolicy(maxAttempts: 4)
/// let page = try await retry.run {
///     try await fetch(url)
/// }
/// ```
///
/// The number of attempts is bounded, the waits grow and are jittered, a dependency's `retryAfter` is never undercut,
/// and no wait begins that cannot end before the ``ReliabilityCore/Deadline`` of the task. When the task is cancelled,
/// there is no further attempt. Of two nested retry policies, the outer one does not repeat what the inner one gave up.
///
/// A policy has no state between calls: share one, or make one for each call.
public struct RetryPolicy: CallPolicy {
    /// How often a call is tried, and how long apart.
    public let configuration: RetryConfiguration
    private let classify: @Sendable (any Error) -> RetryDecision
    private let timeSource: TimeSource
    private let random: RandomSource
    private let events: EventSink<RetryEvent>

    /// Creates a policy from a configuration.
    ///
    /// - Parameters:
    ///   - configuration: How often a call is tried, and how long apart.
    ///   - classify: Which errors may pass. A call that must not be repeated once it may have arrived answers
    ///     ``RetryDecision/stop`` to every error that leaves this open.
    ///   - clock: Measures the waits.
    ///   - randomness: Where jitter comes from.
    ///   - observer: Is told of retries and of giving up.
    public init(
        _ configuration: RetryConfiguration,
        classify: @escaping @Sendable (any Error) -> RetryDecision = RetryDecision.standard(for:),
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (RetryEvent) -> Void)? = nil
    ) {
        self.configuration = configuration
        self.classify = classify
        timeSource = TimeSource(clock)
        random = RandomSource(randomness)
        events = EventSink(observer)
    }

    /// Creates a policy with a number of attempts.
    ///
    /// - Parameters:
    ///   - maxAttempts: The most attempts, the first included.
    ///   - backoff: The waits between attempts.
    /// - Precondition: `maxAttempts` is at least 1.
    public init(maxAttempts: Int, backoff: Backoff = .exponential()) {
        self.init(RetryConfiguration(maxAttempts: maxAttempts, backoff: backoff))
    }

    /// Runs `operation` until it succeeds, fails for good, or there is no attempt left.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What the first successful attempt returns.
    /// - Throws: An error that no attempt can mend, as it is; ``RetryError`` when there is no attempt left;
    ///   `CancellationError` when the task is cancelled during a wait.
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        var state = RetryState()
        while true {
            let attempt = state.attempt
            do {
                return try await operation()
            } catch {
                // The caller went away: its error is the answer, and nothing is counted or repeated.
                if Task.isCancelled { throw error }
                let action = state.attemptFailed(
                    classify(error),
                    configuration: configuration,
                    remaining: Deadline.current?.remaining,
                    backoff: { configuration.backoff.wait(afterAttempt: $0, random: random) }
                )
                switch action {
                case .rethrow:
                    throw error
                case .giveUp(let reason):
                    let final = RetryError(reason, attempts: attempt, lastError: error)
                    events.emit(.gaveUp(final))
                    throw final
                case .retry(let wait):
                    events.emit(.retrying(attempt: attempt, after: wait, error: error))
                    try await timeSource.sleep(for: wait)
                }
            }
        }
    }
}

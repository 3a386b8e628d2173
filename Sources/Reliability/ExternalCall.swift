public import Bulkhead
public import CircuitBreaker
public import RateLimiter
public import ReliabilityCore
public import Retry

/// The recommended policies for calls to a dependency, in the recommended order.
///
/// ```swift
/// let payments = ExternalCall("payments", .externalAPI(.idempotent))
/// let quote = try await payments.run { try await gateway.quote(item) }
/// let receipt = try await payments.run(.notIdempotent) { try await gateway.charge(order) }
/// ```
///
/// From the outside to the inside, the policies are a time limit for the whole call, an optional rate limit, retries
/// within a budget, the circuit breaker, an optional bulkhead, and a time limit for each attempt. Create an external call for each dependency
/// and keep the value. All calls through the value share the breaker and the budget.
///
/// The category of an error decides how the policies treat the error. A fault of the request, such as a declined card,
/// is thrown immediately and does not count against the dependency. An error that does not conform to
/// ``ReliabilityCore/ReliabilityError`` is retried and counts as a failure. The page of the module has the table.
/// `classify` states the meaning of the errors of another library:
///
/// ```swift
/// let payments = ExternalCall("payments", .externalAPI(.idempotent), classify: { error in
///     error is CardError ? CardDeclined() : nil        // not retried and not counted; the call throws the CardError
/// })
/// ```
///
/// ``reload(_:)`` changes the configuration while calls are under way and keeps the state of the breaker and the
/// budget.
///
/// - Warning: Under a time limit, the operation must not add tasks to a task group that was created outside of it. The
///   process ends when the group takes the result of such a child task after the operation has ended, on Linux with the
///   text `pthread_mutex_lock(&handle) failed with error 22`. See `withTimeout(_:clock:operation:)`.
public final class ExternalCall: CallPolicy {
    /// The name of the dependency in reports and explanations.
    public let name: String
    /// The circuit breaker of all calls.
    public let breaker: Breaker
    /// The budget for the retries of all calls.
    public let budget: RetryBudget
    private let classify: (@Sendable (any Error) -> (any ReliabilityError)?)?
    private let makePipelines: @Sendable (Configuration) -> ExternalCallPipelines
    private let pipelines: Lock<ExternalCallPipelines>

    /// Creates the policies for a dependency.
    ///
    /// - Parameters:
    ///   - name: The name of the dependency in reports and explanations.
    ///   - configuration: The configuration, such as `.database(.idempotent)`.
    ///   - rateLimit: The rate limit, or `nil`. A call consumes from the limit once for all of its attempts. Defaults
    ///     to `nil`.
    ///   - bulkhead: The bulkhead, or `nil`. Each attempt needs a place, and no place is held during the wait for the
    ///     next attempt. The wait for a place is not part of the time of an attempt. Defaults to `nil`.
    ///   - budget: The budget for the retries of all calls. Defaults to a new budget.
    ///   - classify: The error whose category decides how the policies treat an error, or `nil` if the error itself
    ///     decides. The closure does not change the error that is thrown.
    ///   - clock: The clock that measures all times. Defaults to `ContinuousClock`.
    ///   - randomness: The source of jitter.
    ///   - observer: Receives the report of every call when the call has ended, and the changes of the breaker's state.
    /// - Precondition: The configuration is valid, see ``Configuration/validate()``.
    public init(
        _ name: String,
        _ configuration: Configuration,
        rateLimit: LimiterPolicy? = nil,
        bulkhead: BulkheadPolicy? = nil,
        budget: RetryBudget = RetryBudget(),
        classify: (@Sendable (any Error) -> (any ReliabilityError)?)? = nil,
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (ExternalCallEvent) -> Void)? = nil
    ) {
        requireValid { () throws(ConfigurationError) in try configuration.validate(as: "external call \(name)") }
        let events = EventSink(observer)
        let breaker = Breaker(
            configuration.breaker,
            judge: { error in
                let meaning: any Error = classify?(error) ?? error
                // A classification may state that the error is a rejection.
                let outcome = meaning.isRejection ? .ignored : Outcome.standard(for: meaning)
                return Breaker.Judgement(outcome, of: meaning)
            },
            timeSource: TimeSource(clock),
            randomness: RandomSource(randomness),
            events: events.map { .breaker($0) }
        )
        let reporter = CallReporter(name, clock, events.map { .ended($0) })
        self.name = name
        self.breaker = breaker
        self.budget = budget
        self.classify = classify
        makePipelines = { configuration in
            func pipeline(_ idempotency: Idempotency) -> Pipeline<ExternalCallPipelines.Policies> {
                Pipeline(
                    name,
                    reporter,
                    configuration.policies(
                        idempotency,
                        rateLimit,
                        breaker,
                        bulkhead,
                        budget,
                        classify,
                        clock: clock,
                        randomness: randomness
                    )
                )
            }
            return ExternalCallPipelines(
                configuration,
                idempotent: pipeline(.idempotent),
                notIdempotent: pipeline(.notIdempotent)
            )
        }
        pipelines = Lock(makePipelines(configuration))
    }

    /// The current configuration.
    public var configuration: Configuration { currentPipelines.configuration }

    /// Changes the configuration.
    ///
    /// An open breaker stays open, see ``CircuitBreaker/Breaker/reload(_:)``. The budget keeps its content. Calls under
    /// way end with the configuration with which the calls began.
    ///
    /// - Parameter configuration: The configuration of all later calls.
    /// - Throws: ``ConfigurationError`` if the configuration is not valid. Nothing is changed then.
    public func reload(_ configuration: Configuration) throws(ConfigurationError) {
        try configuration.validate(as: "external call \(name)")
        let new = makePipelines(configuration)
        pipelines.withLock { $0 = new }
        // Two simultaneous reloads can reach the breaker in the reverse order. The later reload detects that and
        // repeats.
        var applied: Breaker.Configuration
        repeat {
            applied = self.configuration.breaker
            breaker.apply(applied)
        } while applied != self.configuration.breaker
    }

    /// The layers of all policies, the outermost layer first.
    public var layers: [PolicyLayer] { currentPipelines.pipeline.layers }

    /// The longest time and the highest number of attempts of a call.
    public var worstCase: WorstCase { currentPipelines.pipeline.worstCase }

    /// The parts of the configuration that work but are rarely intended, as sentences without a full stop.
    public var warnings: [String] { currentPipelines.pipeline.warnings }

    /// Returns the policies in order with their values, the worst case and the warnings, as lines of text.
    ///
    /// - Returns: The text, for logs and reviews.
    public func explain() -> String { currentPipelines.pipeline.explain() }

    /// Runs the operation under all policies.
    ///
    /// - Parameter operation: The operation. It keeps the caller's isolation.
    /// - Returns: The operation's value.
    /// - Throws: The operation's error or the error of a policy.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await currentPipelines.pipeline.run(operation)
    }

    /// Runs the operation under all policies with the idempotency of this call.
    ///
    /// - Parameters:
    ///   - idempotency: The idempotency of this call, in place of ``Configuration/idempotency``.
    ///   - operation: The operation. It keeps the caller's isolation.
    /// - Returns: The operation's value.
    /// - Throws: The operation's error or the error of a policy.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ idempotency: Idempotency,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await currentPipelines.pipeline(idempotency).run(operation)
    }

    /// Runs the operation under all policies with the idempotency of this call and treats some results as failures.
    ///
    /// - Parameters:
    ///   - idempotency: The idempotency of this call, in place of ``Configuration/idempotency``.
    ///   - failure: The failure that a result stands for, or `nil` for a good result.
    ///   - operation: The operation. It keeps the caller's isolation.
    /// - Returns: The first good result, or the result of the last attempt.
    /// - Throws: The operation's error or the error of a policy if the last attempt returned no result.
    nonisolated(nonsending) public func run<Success>(
        _ idempotency: Idempotency,
        classifyResult failure: (Success) -> (any ReliabilityError)?,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await currentPipelines.pipeline(idempotency).run(classifyResult: failure, operation)
    }

    /// Runs the operation under all policies and answers in its place if the call fails.
    ///
    /// The `classify` closure of the initializer decides for the answers too. An error that `classify` declares a fault
    /// of the request, such as a declined card, is thrown.
    ///
    /// - Parameters:
    ///   - answers: The answers in order of preference.
    ///   - operation: The operation. It keeps the caller's isolation.
    /// - Returns: The operation's value or the value of an answer.
    /// - Throws: The operation's error or the error of a policy if the caller has cancelled the task, the error is a
    ///   fault of the request, or no answer has a value.
    nonisolated(nonsending) public func run<Value: Sendable>(
        or answers: Fallback<Value>.Answer...,
        operation: nonisolated(nonsending) () async throws -> Value
    ) async throws -> Value {
        let classify = classify
        let fallback = Fallback(
            answers: answers,
            classify: { error in FallbackDecision.standard(for: classify?(error) ?? error) }
        )
        return try await fallback.run { try await run(operation) }.value
    }

    @usableFromInline var currentPipelines: ExternalCallPipelines { pipelines.withLock { $0 } }
}

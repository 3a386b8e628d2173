public import CircuitBreaker
public import RateLimiter
public import ReliabilityCore
public import Retry

/// The recommended policies for calls to one dependency, in the recommended order.
///
/// ```swift
/// let payments = ExternalCall("payments", .externalAPI(.idempotent))
/// let quote = try await payments.run { try await gateway.quote(order) }
/// let receipt = try await payments.run(.notIdempotent) { try await gateway.charge(order) }
/// ```
///
/// From the outside: a time limit for the whole call, a rate limit if one is given, retries within a budget, the circuit
/// breaker, a time limit for each attempt. Make one for each dependency, and keep it: all its calls share the breaker and
/// the budget.
///
/// An error says by its category what it means to the policies: one that finds fault with the request, such as a declined
/// card, is thrown at once, and is no evidence against the dependency. The page of the module has the table. An error that
/// is no ``ReliabilityCore/ReliabilityError`` is tried again, and each failed attempt counts to the breaker, because most of
/// these errors are those of a network. `map` says what the errors of somebody else's library mean:
///
/// ```swift
/// let payments = ExternalCall("payments", .externalAPI(.idempotent), map: { error in
///     (error as? CardError).map { CardDeclined($0) }   // neither tried again nor counted; the card error is thrown
/// })
/// ```
///
/// ``reload(_:)`` changes the figures while calls are under way, and keeps what breaker and budget know.
///
/// - Warning: Under a time limit, the operation must not add tasks to a task group that was created outside of it. The
///   process ends when the group takes the result of such a child task after the operation has ended, on Linux with the text
///   `pthread_mutex_lock(&handle) failed with error 22`. See `withTimeout(_:clock:operation:)`.
public final class ExternalCall: CallPolicy {
    /// The name in records and explanations.
    public let name: String
    /// Keeps calls away while the dependency fails.
    public let breaker: Breaker
    /// Bounds the retries of all calls together.
    public let budget: RetryBudget
    private let map: (@Sendable (any Error) -> (any ReliabilityError)?)?
    private let makePlan: @Sendable (ExternalCallConfiguration) -> ExternalCallPlan
    private let plan: Lock<ExternalCallPlan>

    /// Creates the policies.
    ///
    /// - Parameters:
    ///   - name: The name in records and explanations.
    ///   - configuration: The figures, such as `.database(.idempotent)`.
    ///   - rateLimit: Decides whether a call is made at all; asked once for each call, not for each attempt.
    ///   - budget: Bounds the retries of all calls together.
    ///   - map: The error whose category decides what the policies do about an error, or `nil` if the error itself decides.
    ///     It changes no error: what the operation threw is thrown.
    ///   - clock: Measures all times.
    ///   - randomness: Where jitter comes from.
    ///   - observer: Receives the record of every call when it has ended.
    ///   - breakerObserver: Receives the changes of the breaker's state.
    /// - Precondition: The configuration has no problems.
    public init(
        _ name: String,
        _ configuration: ExternalCallConfiguration,
        rateLimit: LimiterPolicy? = nil,
        budget: RetryBudget = RetryBudget(),
        map: (@Sendable (any Error) -> (any ReliabilityError)?)? = nil,
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (CallRecord) -> Void)? = nil,
        breakerObserver: (@Sendable (BreakerEvent) -> Void)? = nil
    ) {
        let problems = configuration.problems()
        requireValid(problems.isEmpty, "the external call \(name) cannot work: \(problems.joined(separator: "; "))")
        let breaker = Breaker(
            configuration.breaker,
            classify: { error in
                let meaning = map?(error)
                if meaning?.isRejection == true { return .ignored }
                return Breaker.standardOutcome(for: meaning ?? error)
            },
            clock: clock,
            observer: breakerObserver
        )
        let recorder = CallRecorder(name, clock, observer)
        self.name = name
        self.breaker = breaker
        self.budget = budget
        self.map = map
        makePlan = { configuration in
            func pipeline(_ idempotency: Idempotency) -> Pipeline<ExternalCallPlan.Policies> {
                Pipeline(
                    name,
                    recorder,
                    configuration.policies(
                        idempotency,
                        rateLimit,
                        breaker,
                        budget,
                        map,
                        clock: clock,
                        randomness: randomness
                    )
                )
            }
            return ExternalCallPlan(
                configuration,
                idempotent: pipeline(.idempotent),
                notIdempotent: pipeline(.notIdempotent)
            )
        }
        plan = Lock(makePlan(configuration))
    }

    /// The figures now.
    public var configuration: ExternalCallConfiguration { currentPlan.configuration }

    /// Changes the figures.
    ///
    /// An open breaker stays open, as ``CircuitBreaker/Breaker/reload(_:)`` says, and the budget keeps what is in it.
    /// Calls that are under way end under the figures with which they began.
    ///
    /// - Parameter configuration: The figures for all calls from now on.
    /// - Throws: ``PipelineError`` when the figures cannot work; those of before stay in force.
    public func reload(_ configuration: ExternalCallConfiguration) throws(PipelineError) {
        let problems = configuration.problems()
        if !problems.isEmpty { throw PipelineError(name: name, problems: problems) }
        let new = makePlan(configuration)
        plan.withLock { $0 = new }
        // Two reloads at once may come to the breaker in the other order: the later one sees that, and goes again.
        var applied: BreakerConfiguration
        repeat {
            applied = self.configuration.breaker
            breaker.reload(applied)
        } while applied != self.configuration.breaker
    }

    /// The layers of all policies, the outermost first.
    public var layers: [PolicyLayer] { currentPlan.pipeline.layers }

    /// The longest time that a call can take, and the most attempts that it can make.
    public var worstCase: WorstCase { currentPlan.pipeline.worstCase }

    /// What can work but is seldom meant, in sentences.
    public var warnings: [String] { currentPlan.pipeline.warnings }

    /// The policies in order with their figures, the worst case, and the warnings, as text for a person.
    ///
    /// - Returns: Lines of text.
    public func explain() -> String { currentPlan.pipeline.explain() }

    /// Runs `operation` under all policies.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns.
    /// - Throws: What `operation` throws, or the error of a policy.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await currentPlan.pipeline.run(operation)
    }

    /// Runs `operation` under all policies, and says for this call whether it may happen twice.
    ///
    /// - Parameters:
    ///   - idempotency: Whether the call may happen twice without harm.
    ///   - operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns.
    /// - Throws: What `operation` throws, or the error of a policy.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ idempotency: Idempotency,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await currentPlan.pipeline(idempotency).run(operation)
    }

    /// Runs `operation` under all policies, some of whose results mean a failure, and says for this call whether it may
    /// happen twice.
    ///
    /// - Parameters:
    ///   - idempotency: Whether the call may happen twice without harm.
    ///   - failure: The failure that a result means, or `nil` if the result is good.
    ///   - operation: The work; it keeps the caller's isolation.
    /// - Returns: The first good result, or the last one.
    /// - Throws: What `operation` throws, or the error of a policy.
    nonisolated(nonsending) public func run<Success>(
        _ idempotency: Idempotency,
        failingResult failure: (Success) -> (any ReliabilityError)?,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await currentPlan.pipeline(idempotency).run(failingResult: failure, operation)
    }

    /// Runs `operation` under all policies, and answers in its place when it fails.
    ///
    /// An error that `map` knows is answered as what it was mapped to: a declined card is thrown, not answered.
    ///
    /// - Parameters:
    ///   - answers: What takes the place of the call's value, the best first.
    ///   - operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns, or an answer.
    /// - Throws: What `operation` throws, or the error of a policy, when the task is cancelled, the error finds fault with
    ///   the request, or no answer has a value.
    nonisolated(nonsending) public func run<Value: Sendable>(
        or answers: Fallback<Value>.Answer...,
        operation: nonisolated(nonsending) () async throws -> Value
    ) async throws -> Value {
        let map = map
        let fallback = Fallback(
            answers: answers,
            shouldAnswer: { error in Fallback<Value>.standardDecision(for: map?(error) ?? error) }
        )
        return try await fallback.run { try await run(operation) }.value
    }

    @usableFromInline var currentPlan: ExternalCallPlan { plan.withLock { $0 } }
}

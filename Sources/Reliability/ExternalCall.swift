public import CircuitBreaker
public import RateLimiter
public import ReliabilityCore
public import Retry

/// The recommended policies for calls to one dependency, in the recommended order.
///
/// ```swift
/// let payments: ExternalCall = .externalCall("payments", .externalAPI(.idempotent))
/// let quote = try await payments.run { try await gateway.quote(order) }
/// let receipt = try await payments.run(.notIdempotent) { try await gateway.charge(order) }
/// ```
///
/// From the outside: a time limit for the whole call, a rate limit if one is given, retries within a budget, the circuit
/// breaker, a time limit for each attempt. Make one for each dependency, and keep it: all its calls share the breaker and
/// the budget.
///
/// An error that finds fault with the request, such as a declined card, should conform to
/// ``ReliabilityCore/ReliabilityError`` and say so by its category: it is then thrown at once, and is no evidence against
/// the dependency. An error that says nothing of itself is tried again, and each failed attempt counts to the breaker.
///
/// ``reload(_:)`` changes the figures while calls are under way, and keeps what breaker and budget know.
public final class ExternalCall: CallPolicy {
    /// The name in records and explanations.
    public let name: String
    /// Keeps calls away while the dependency fails.
    public let breaker: Breaker
    /// Bounds the retries of all calls together.
    public let budget: RetryBudget
    private let makePlan: @Sendable (ExternalCallConfiguration) -> ExternalCallPlan
    private let plan: Lock<ExternalCallPlan>

    /// Creates the policies.
    ///
    /// - Parameters:
    ///   - name: The name in records and explanations.
    ///   - configuration: The figures, such as `.database(.idempotent)`.
    ///   - rateLimit: Decides whether a call is made at all; asked once for each call, not for each attempt.
    ///   - budget: Bounds the retries of all calls together.
    ///   - clock: Measures all times.
    ///   - randomness: Where jitter comes from.
    ///   - observer: Is told the story of every call when it has ended.
    ///   - breakerObserver: Is told when the breaker opens and closes.
    /// - Precondition: The configuration has no problems.
    public init(
        _ name: String,
        _ configuration: ExternalCallConfiguration,
        rateLimit: LimiterPolicy? = nil,
        budget: RetryBudget = RetryBudget(),
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (CallRecord) -> Void)? = nil,
        breakerObserver: (@Sendable (BreakerEvent) -> Void)? = nil
    ) {
        let problems = configuration.problems()
        precondition(problems.isEmpty, "the external call \(name) cannot work: \(problems.joined(separator: "; "))")
        let breaker = Breaker(configuration.breaker, clock: clock, observer: breakerObserver)
        let recorder = CallRecorder(name, clock, observer)
        self.name = name
        self.breaker = breaker
        self.budget = budget
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

    /// Goes on with other figures.
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

    @usableFromInline var currentPlan: ExternalCallPlan { plan.withLock { $0 } }
}

extension CallPolicy where Self == ExternalCall {
    /// The recommended policies for calls to one dependency, in the recommended order.
    ///
    /// - Parameters:
    ///   - name: The name in records and explanations.
    ///   - configuration: The figures, such as `.database(.idempotent)`.
    ///   - rateLimit: Decides whether a call is made at all.
    ///   - observer: Is told the story of every call when it has ended.
    /// - Returns: The policies.
    /// - Precondition: The configuration has no problems.
    public static func externalCall(
        _ name: String,
        _ configuration: ExternalCallConfiguration,
        rateLimit: LimiterPolicy? = nil,
        observer: (@Sendable (CallRecord) -> Void)? = nil
    ) -> ExternalCall {
        ExternalCall(name, configuration, rateLimit: rateLimit, observer: observer)
    }
}

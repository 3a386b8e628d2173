public import ReliabilityCore

/// Policies around a call, the outermost first.
///
/// ```swift
/// let payment = Pipeline("payments") {
///     TimeoutPolicy(.seconds(8))                  // for everything below
///     RetryPolicy(.idempotent, maxAttempts: 3)
///     breaker                                     // shared by all calls to the dependency
///     TimeoutPolicy(.seconds(2))                  // for each attempt
/// }
/// let receipt = try await payment.run { try await gateway.charge(order) }
/// ```
///
/// The recommended order, from the outside: total timeout, rate limit, retry, circuit breaker, attempt timeout. The
/// breaker then sees every attempt, time-outs included, and a wait between attempts holds nothing. ``ExternalCall`` is
/// that order in one line.
///
/// The list may have conditions, for policies that a configuration switches on:
///
/// ```swift
/// let search = Pipeline("search") {
///     TimeoutPolicy(.seconds(2))
///     if let breaker { breaker }
///     if settings.isSlow { TimeoutPolicy(.seconds(1)) } else { TimeoutPolicy(.milliseconds(200)) }
/// }
/// ```
///
/// An order that cannot work is rejected when it is made: a time limit that one outside it always reaches first, or one
/// breaker or rate limit that stands in it twice. ``warnings`` says what can work but is seldom meant, and ``explain()``
/// what the whole comes to.
///
/// A pipeline is one static type: running it allocates nothing beyond what its policies need.
///
/// - Warning: Under a time limit, the operation must not add tasks to a task group that was created outside of it. The
///   process ends when the group takes the result of such a child task after the operation has ended, on Linux with the text
///   `pthread_mutex_lock(&handle) failed with error 22`. See `withTimeout(_:clock:operation:)`.
public struct Pipeline<Policies: CallPolicy>: CallPolicy {
    /// The name in records and explanations.
    public let name: String
    @usableFromInline let policies: Policies
    @usableFromInline let recorder: CallRecorder?
    /// Whether a retry among the policies asks whether the operation has begun.
    @usableFromInline let tracksSends: Bool

    /// Composes policies, the outermost first.
    ///
    /// - Parameters:
    ///   - name: The name in records and explanations.
    ///   - clock: Measures the times in records; the policies have clocks of their own.
    ///   - observer: Is told the story of every call when it has ended.
    ///   - policies: The policies.
    /// - Precondition: The order can work.
    public init(
        _ name: String = "pipeline",
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (CallRecord) -> Void)? = nil,
        @PipelineBuilder _ policies: () -> Policies
    ) {
        self.init(name, CallRecorder(name, clock, observer), policies())
        let problems = CallPlan(layers).problems
        requireValid(problems.isEmpty, "the pipeline \(name) cannot work: \(problems.joined(separator: "; "))")
    }

    /// Composes policies whose figures come from outside the program, the outermost first.
    ///
    /// It is the order that is checked here. A policy checks its own figures when it is made, by preconditions: what comes
    /// from a file is to be looked at before, or is an ``ExternalCallConfiguration``, which takes any figures and has
    /// ``ExternalCallConfiguration/problems()``.
    ///
    /// - Parameters:
    ///   - name: The name in records and explanations.
    ///   - clock: Measures the times in records; the policies have clocks of their own.
    ///   - observer: Is told the story of every call when it has ended.
    ///   - policies: The policies.
    /// - Throws: ``PipelineError`` when the order cannot work.
    public init(
        validating name: String,
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (CallRecord) -> Void)? = nil,
        @PipelineBuilder _ policies: () -> Policies
    ) throws(PipelineError) {
        self.init(name, CallRecorder(name, clock, observer), policies())
        let problems = CallPlan(layers).problems
        if !problems.isEmpty { throw PipelineError(name: name, problems: problems) }
    }

    init(_ name: String, _ recorder: CallRecorder?, _ policies: Policies) {
        self.name = name
        self.recorder = recorder
        self.policies = policies
        tracksSends = policies.layers.contains(where: \.tracksSends)
    }

    /// The layers of all policies, the outermost first.
    public var layers: [PolicyLayer] { policies.layers }

    /// The longest time that a call can take, and the most attempts that it can make.
    public var worstCase: WorstCase { CallPlan(layers).worstCase }

    /// What can work but is seldom meant, in sentences.
    public var warnings: [String] { CallPlan(layers).warnings }

    /// The policies in order with their figures, the worst case, and the warnings, as text for a person.
    ///
    /// - Returns: Lines of text.
    public func explain() -> String { CallPlan(layers).explanation(of: name) }

    /// Runs `operation` under all policies.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns.
    /// - Throws: What `operation` throws, or the error of a policy.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        if tracksSends { return try await runTracked(operation) }
        if let recorder { return try await recorder.run(policies, operation) }
        return try await policies.run(operation)
    }

    @usableFromInline
    nonisolated(nonsending) func runTracked<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let tracked = SendTracking(policies)
        if let recorder { return try await recorder.run(tracked, operation) }
        return try await tracked.run(operation)
    }
}

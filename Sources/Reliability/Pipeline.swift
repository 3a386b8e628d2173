public import ReliabilityCore

/// A composition of policies around a call, the outermost policy first.
///
/// ```swift
/// let breaker = Breaker(.standard)                // shared by all calls to the dependency
/// let payment = Pipeline("payments") {
///     TimeoutPolicy(.seconds(8))                  // for everything below
///     RetryPolicy(.idempotent)
///     breaker
///     TimeoutPolicy(.seconds(2))                  // for each attempt
/// }
/// let receipt = try await payment.run { try await gateway.charge(order) }
/// ```
///
/// The recommended order from the outside to the inside is total timeout, rate limit, retry, circuit breaker, attempt
/// timeout. The breaker then counts every attempt, and an attempt that hangs counts as a failure. ``ExternalCall`` has
/// this order.
///
/// The list may contain conditions:
///
/// ```swift
/// let breaker = Breaker(.standard), isRemote = environment["SEARCH_HOST"] != nil
/// let search = Pipeline("search") {
///     TimeoutPolicy(.seconds(2))
///     if isRemote { breaker }
///     if isRemote { TimeoutPolicy(.seconds(1)) } else { TimeoutPolicy(.milliseconds(200)) }
/// }
/// ```
///
/// The initializer rejects an order that cannot work: a time limit that is never reached because a limit outside it is
/// shorter, or a breaker or rate limit that occurs twice. ``warnings`` lists the parts of an order that work but are
/// rarely intended. ``explain()`` returns a description with the worst case.
///
/// A pipeline has a static type. Running a pipeline allocates nothing beyond the allocations of its policies.
///
/// - Warning: Under a time limit, the operation must not add tasks to a task group that was created outside of it. The
///   process ends when the group takes the result of such a child task after the operation has ended, on Linux with the
///   text `pthread_mutex_lock(&handle) failed with error 22`. See `withTimeout(_:clock:operation:)`.
public struct Pipeline<Policies: CallPolicy>: CallPolicy {
    /// The name in reports and explanations.
    public let name: String
    @usableFromInline let policies: Policies
    @usableFromInline let reporter: CallReporter?
    /// A Boolean value that indicates whether a retry in the pipeline needs to know whether the operation has begun.
    @usableFromInline let tracksSends: Bool

    /// Creates a pipeline from policies, the outermost policy first.
    ///
    /// - Parameters:
    ///   - name: The name in reports and explanations.
    ///   - clock: The clock that measures the times in reports. The policies have their own clocks. Defaults to
    ///     `ContinuousClock`.
    ///   - observer: Receives the report of every call when the call has ended.
    ///   - policies: The policies.
    /// - Precondition: The order of the policies works. Use ``init(validating:clock:observer:_:)`` for an order from a
    ///   file.
    public init(
        _ name: String = "pipeline",
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (CallReport) -> Void)? = nil,
        @PipelineBuilder _ policies: () -> Policies
    ) {
        self.init(name, CallReporter(name, clock, observer), policies())
        requireValid(validate)
    }

    /// Creates a pipeline from policies whose configurations come from outside the program.
    ///
    /// The initializer checks the order of the policies. Each policy checks its configuration by a precondition when
    /// the policy is created. Call `validate()` on a configuration from a file before that.
    ///
    /// - Parameters:
    ///   - name: The name in reports and explanations.
    ///   - clock: The clock that measures the times in reports. The policies have their own clocks. Defaults to
    ///     `ContinuousClock`.
    ///   - observer: Receives the report of every call when the call has ended.
    ///   - policies: The policies, the outermost policy first.
    /// - Throws: ``ConfigurationError`` if the order cannot work.
    public init(
        validating name: String,
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (CallReport) -> Void)? = nil,
        @PipelineBuilder _ policies: () -> Policies
    ) throws(ConfigurationError) {
        self.init(name, CallReporter(name, clock, observer), policies())
        try validate()
    }

    private func validate() throws(ConfigurationError) {
        let problems = LayerAnalysis(layers).problems
        if !problems.isEmpty { throw ConfigurationError(part: "pipeline \(name)", problems: problems) }
    }

    init(_ name: String, _ reporter: CallReporter?, _ policies: Policies) {
        self.name = name
        self.reporter = reporter
        self.policies = policies
        tracksSends = policies.layers.contains(where: \.tracksSends)
    }

    /// The layers of all policies, the outermost layer first.
    public var layers: [PolicyLayer] { policies.layers }

    /// The longest time and the highest number of attempts of a call.
    public var worstCase: WorstCase { LayerAnalysis(layers).worstCase }

    /// The parts of the order that work but are rarely intended, as sentences without a full stop.
    public var warnings: [String] { LayerAnalysis(layers).warnings }

    /// Returns the policies in order with their values, the worst case and the warnings, as lines of text.
    ///
    /// - Returns: The text, for logs and reviews.
    public func explain() -> String { LayerAnalysis(layers).explanation(of: name) }

    /// Runs the operation under all policies.
    ///
    /// - Parameter operation: The operation. It keeps the caller's isolation.
    /// - Returns: The operation's value.
    /// - Throws: The operation's error or the error of a policy.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        if tracksSends { return try await runTracked(operation) }
        if let reporter { return try await reporter.run(policies, operation) }
        return try await policies.run(operation)
    }

    @usableFromInline
    nonisolated(nonsending) func runTracked<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let tracked = SendTracking(policies)
        if let reporter { return try await reporter.run(tracked, operation) }
        return try await tracked.run(operation)
    }
}

public import ReliabilityCore

/// Limits the number of calls that run at the same time, with a queue for further calls.
///
/// ```swift
/// let bulkhead = BulkheadPolicy(.limit(20, maxWaiting: 100))
/// let quote = try await bulkhead.run {
///     try await gateway.quote(item)
/// }
/// ```
///
/// A call without a place waits in a queue. Calls of a higher priority leave the queue first. Calls of the same priority
/// leave the queue in turn for each tenant. If the queue is full, an arriving call takes the place of a waiting call of
/// a lower priority, or of a tenant with more waiting calls. The call that lost its place is rejected.
///
/// - A rejected call throws ``BulkheadError`` and does not begin.
/// - A call waits for at most ``Configuration/maxWait``. A waiting call that would not end before its deadline is
///   rejected before it begins. The estimate of the time is the median of the recent durations. A call that finds a
///   place begins with any deadline.
/// - No call overtakes a waiting call of a higher priority. No call overtakes a waiting call of the same priority and
///   tenant, except under overload with ``Configuration/Order/adaptiveLIFO(target:interval:)``.
/// - A place is released when the work ends. If a `withAbandoningTimeout` inside of the bulkhead leaves its work, the
///   work keeps the place until the work ends.
/// - A caller that is cancelled leaves the queue immediately.
///
/// Share one bulkhead among all calls to a dependency, or among all requests of a service.
public struct BulkheadPolicy: CallPolicy {
    @usableFromInline let places: BulkheadPlaces
    /// The scope of calls outside of other bulkheads.
    private let outermostScope: AdmissionScope
    @usableFromInline let classify: @Sendable (any Error) -> Outcome

    /// Creates a bulkhead from a configuration.
    ///
    /// - Parameters:
    ///   - configuration: The number of places and the queue.
    ///   - classify: Maps an error to an outcome, for an adaptive limit. Defaults to `Outcome.standard(for:)`. Calls that
    ///     the caller cancelled or another policy rejected are ignored.
    ///   - clock: The clock that measures the time. Defaults to `ContinuousClock`.
    ///   - observer: Receives the rejections and the changes of the limit.
    /// - Precondition: The configuration is valid. See ``Configuration/validate()``.
    public init(
        _ configuration: Configuration,
        classify: @escaping @Sendable (any Error) -> Outcome = Outcome.standard(for:),
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (BulkheadEvent) -> Void)? = nil
    ) {
        requireValid(configuration.validate)
        self.classify = classify
        places = BulkheadPlaces(configuration, timeSource: TimeSource(clock), events: EventSink(observer))
        outermostScope = AdmissionScope(places)
    }

    /// The current configuration.
    public var configuration: Configuration { places.configuration }

    /// The state and the counters at this moment.
    public var snapshot: BulkheadSnapshot { places.snapshot }

    /// A single layer with the values of the configuration.
    public var layers: [PolicyLayer] {
        let configuration = configuration
        return [
            PolicyLayer(
                .bulkhead,
                configuration.summary,
                waits: configuration.maxWaiting == 0 ? .zero : configuration.maxWait,
                plannedWaits: .zero,
                identity: PolicyLayer.Identity(places)
            )
        ]
    }

    /// Replaces the configuration and keeps the running and the waiting calls.
    ///
    /// A lower limit takes effect as calls end. A shorter queue takes effect for arriving calls. An adaptive limit keeps
    /// its present value as far as the new figures allow.
    ///
    /// - Parameter configuration: The new configuration.
    /// - Throws: `ConfigurationError` if the configuration is not valid. The bulkhead then keeps its old configuration.
    public func reload(_ configuration: Configuration) throws(ConfigurationError) {
        try configuration.validate()
        places.reload(configuration)
    }

    /// Runs the operation with the priority of the current task as soon as there is a place.
    ///
    /// - Parameter operation: The work in the caller's isolation.
    /// - Returns: The operation's value.
    /// - Throws: ``BulkheadError`` if the call is rejected, `CancellationError` if the task is cancelled during the
    ///   wait, or the operation's error.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await run(priority: nil, tenant: nil, operation)
    }

    /// Runs the operation as soon as there is a place.
    ///
    /// - Parameters:
    ///   - priority: The priority of the call, or `nil` for the priority of the current task. Defaults to `nil`.
    ///   - tenant: The key whose calls share a turn, such as a customer, or `nil`. Defaults to `nil`.
    ///   - operation: The work in the caller's isolation.
    /// - Returns: The operation's value.
    /// - Throws: ``BulkheadError`` if the call is rejected, `CancellationError` if the task is cancelled during the
    ///   wait, or the operation's error.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        priority: CallPriority? = nil,
        tenant: String?,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let start: Int64
        if let admitted = places.tryAdmit() {
            start = admitted
        } else {
            start = try await places.waitForPlace(priority, tenant)
        }
        let wasCancelledBefore = Task.isCancelled
        do {
            // The operation keeps its place if its caller leaves the operation.
            let success = try await AdmissionScope.innermost.withValue(scope) { try await operation() }
            endReturned(wasCancelledBefore, start)
            return success
        } catch {
            endThrown(error, wasCancelledBefore, start)
            throw error
        }
    }

    @usableFromInline var scope: AdmissionScope {
        if let outer = AdmissionScope.innermost.get() { AdmissionScope(places, in: outer) } else { outermostScope }
    }

    @usableFromInline
    func endReturned(_ wasCancelledBefore: Bool, _ start: Int64) {
        let cancelled = Task.isCancelled ? Outcome.ofCancelled(wasCancelledBefore: wasCancelledBefore) : nil
        places.end(cancelled ?? .success, start: start)
    }

    @usableFromInline
    func endThrown(_ error: any Error, _ wasCancelledBefore: Bool, _ start: Int64) {
        let outcome = Outcome.ofThrown(error, wasCancelledBefore: wasCancelledBefore)
        let mustClassify = outcome == .failure && !error.isRejection
        places.end(mustClassify ? classify(error) : outcome, start: start)
    }

    /// Waits for a place and returns its permit.
    ///
    /// The permit releases the place. Work that outlives the caller can take the permit along.
    ///
    /// - Parameters:
    ///   - priority: The priority of the call, or `nil` for the priority of the current task. Defaults to `nil`.
    ///   - tenant: The key whose calls share a turn, such as a customer, or `nil`. Defaults to `nil`.
    /// - Returns: The permit.
    /// - Throws: ``BulkheadError`` if the call is rejected, or `CancellationError` if the task is cancelled during the
    ///   wait.
    nonisolated(nonsending) public func acquire(
        priority: CallPriority? = nil,
        tenant: String? = nil
    ) async throws -> BulkheadPermit {
        if let start = places.tryAdmit() { return BulkheadPermit(places, start: start) }
        return BulkheadPermit(places, start: try await places.waitForPlace(priority, tenant))
    }

    /// Returns a policy for calls with a priority and a tenant, for a pipeline.
    ///
    /// - Parameters:
    ///   - priority: The priority of the calls, or `nil` for the priority of the current task. Defaults to `nil`.
    ///   - tenant: The key whose calls share a turn, or `nil`. Defaults to `nil`.
    /// - Returns: The policy.
    public func policy(priority: CallPriority? = nil, tenant: String? = nil) -> BulkheadCalls {
        BulkheadCalls(bulkhead: self, priority: priority, tenant: tenant)
    }
}

/// A policy that runs calls with a priority and a tenant under a bulkhead.
///
/// ``BulkheadPolicy/policy(priority:tenant:)`` returns such a policy.
public struct BulkheadCalls: CallPolicy {
    let bulkhead: BulkheadPolicy
    let priority: CallPriority?
    let tenant: String?

    /// The layer of the bulkhead.
    public var layers: [PolicyLayer] { bulkhead.layers }

    /// Runs the operation as soon as there is a place.
    ///
    /// - Parameter operation: The work in the caller's isolation.
    /// - Returns: The operation's value.
    /// - Throws: The errors of ``BulkheadPolicy/run(priority:tenant:_:)``.
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await bulkhead.run(priority: priority, tenant: tenant, operation)
    }
}

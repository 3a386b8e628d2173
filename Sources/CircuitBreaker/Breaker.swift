public import ReliabilityCore
internal import Synchronization

/// Rejects calls to a failing dependency and admits a few probes to detect its recovery.
///
/// ```swift
/// let breaker = Breaker(.standard)
/// let rates = try await breaker.run {
///     try await bank.rates()
/// }
/// ```
///
/// A closed breaker admits every call and opens when its ``TripCondition`` is met. An open breaker rejects every call
/// with ``BreakerOpenError``. After ``Configuration/openDuration`` the breaker is half-open and admits as many probes
/// as ``Configuration/probes``. The breaker closes when all probes have succeeded and opens again when a probe fails,
/// unless ``Configuration/toleratedProbeFailures`` allows the failure.
///
/// - A call counts only in the state in which it was admitted. A late result from before the breaker opened neither
///   closes nor opens the breaker.
/// - A call that the caller cancelled does not count. A cancelled probe releases its place.
/// - A call that a deadline ended is a failure if it returned a value or threw a rejection. Any other error of such a
///   call is classified. The deadline may belong to the call or to an enclosing call.
/// - A probe that does not end within ``Configuration/probeLease`` loses its place to another call, and its later
///   result changes nothing. Later probes have twice the time.
/// - Calls that a probe makes through the same breaker are part of the probe. The breaker admits such calls while the
///   probe runs and its outcome still counts. The failure of a part fails the probe. The success of a part counts only
///   through the probe. While the breaker is closed, nested calls count separately.
///
/// Share one breaker among all calls to a dependency.
public final class Breaker: CallPolicy {
    private let judge: @Sendable (any Error) -> Judgement
    private let timeSource: TimeSource
    private let randomness: RandomSource
    private let events: EventSink<BreakerEvent>
    private let machine: Lock<BreakerStateMachine>
    /// The state for calls through a closed breaker, which need neither the lock nor the clock.
    ///
    /// The value is 0 unless the breaker admits every call without a change. Otherwise the value is twice the
    /// generation of the calls, plus 1 if a success would change nothing. Written only with the lock of `machine` held.
    private let fastPathState: Atomic<UInt64>

    /// Creates a breaker from a configuration.
    ///
    /// - Parameters:
    ///   - configuration: The trip condition, the open duration and the number of probes. Defaults to
    ///     ``Configuration/standard``.
    ///   - classify: Maps an error to an outcome. Defaults to `Outcome.standard(for:)`. The breaker ignores calls that
    ///     the caller cancelled or another policy rejected and does not classify their errors. The error of a call that
    ///     a deadline ended is classified as well. If that error is a rejection, the call is always a failure.
    ///   - clock: The clock that measures the time. Defaults to `ContinuousClock`.
    ///   - randomness: The source of randomness for jitter. Defaults to `SystemRandomNumberGenerator`.
    ///   - observer: Receives the changes of state.
    /// - Precondition: The configuration is valid. See ``Configuration/validate()``.
    public convenience init(
        _ configuration: Configuration = .standard,
        classify: @escaping @Sendable (any Error) -> Outcome = Outcome.standard(for:),
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (BreakerEvent) -> Void)? = nil
    ) {
        self.init(
            configuration,
            judge: { Judgement(classify($0), of: $0) },
            timeSource: TimeSource(clock),
            randomness: RandomSource(randomness),
            events: EventSink(observer)
        )
    }

    /// Creates a breaker that sends its events to the event queue of another type.
    package convenience init(
        _ configuration: Configuration,
        judge: @escaping @Sendable (any Error) -> Judgement,
        timeSource: TimeSource,
        randomness: RandomSource,
        events: EventSink<BreakerEvent>
    ) {
        requireValid(configuration.validate)
        self.init(
            SharedConfiguration(configuration),
            judge: judge,
            timeSource: timeSource,
            randomness: randomness,
            events: events
        )
    }

    /// Creates a breaker from a valid configuration.
    init(
        _ shared: SharedConfiguration,
        judge: @escaping @Sendable (any Error) -> Judgement,
        timeSource: TimeSource,
        randomness: RandomSource,
        events: EventSink<BreakerEvent>
    ) {
        self.judge = judge
        self.timeSource = timeSource
        self.randomness = randomness
        self.events = events
        var state = BreakerStateMachine(shared, seed: shared.value.jitter > 0 ? randomness.next() : 0)
        fastPathState = Atomic(state.fastPathState())
        machine = Lock(state)
    }

    /// The current configuration.
    ///
    /// ``reload(_:)`` replaces the configuration.
    public var configuration: Configuration { machine.withLock { $0.configuration } }

    /// The current state.
    ///
    /// Reading the property does not change the state.
    public var state: State { read { state, now in state.state(now: now) } }

    /// A single layer with the values of the configuration.
    public var layers: [PolicyLayer] {
        let configuration = configuration
        return [
            PolicyLayer(
                .circuitBreaker,
                configuration.summary,
                identity: PolicyLayer.Identity(self),
                failuresToOpen: configuration.tripCondition.leastFailures,
                slowThreshold: configuration.tripCondition.slowThreshold,
                notes: configuration.tripCondition.traffic
            )
        ]
    }

    /// Replaces the configuration and keeps the state of the breaker.
    ///
    /// - An open breaker stays open for the remaining time or for the longest open time of the new configuration if that
    ///   is shorter.
    /// - A half-open breaker continues to probe. The breaker closes if enough probes for the new number have succeeded.
    ///   Running probes keep their leases or have the new lease if the new lease is shorter.
    /// - A ramp ends at the time that was planned or after the new ``Configuration/rampDuration`` if that is sooner.
    /// - The recorded calls are kept if the new rule is of the same kind and has the same window and the same threshold
    ///   of slow calls. Otherwise the breaker discards the recorded calls. Each rule of a combination is handled
    ///   separately.
    /// - A reload does not open the breaker. The next failure or slow call may open the breaker.
    /// - Running calls count as if the configuration had not changed. With another threshold of slow calls, running
    ///   calls count as slow only at their end.
    ///
    /// - Parameter configuration: The new configuration.
    /// - Throws: `ConfigurationError` if the configuration is not valid. The breaker then keeps its old configuration.
    public func reload(_ configuration: Configuration) throws(ConfigurationError) {
        try configuration.validate()
        apply(configuration)
    }

    /// Replaces the configuration by a valid configuration.
    package func apply(_ configuration: Configuration) { apply(SharedConfiguration(configuration)) }

    func apply(_ shared: SharedConfiguration) {
        let now = timeSource.now
        let seed = shared.value.jitter > 0 ? randomness.next() : nil
        update { state in
            if let seed { state.random = seed }
            return (state.reload(shared, now: now), ())
        }
    }

    /// Runs the operation if the breaker admits the call.
    ///
    /// - Parameter operation: The work in the caller's isolation.
    /// - Returns: The operation's value.
    /// - Throws: ``BreakerOpenError`` if the call is rejected, or the operation's error.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await run(classifyResult: { _ in .success }, operation)
    }

    /// Runs the operation if the breaker admits the call, and classifies the operation's value.
    ///
    /// ```swift
    /// let breaker = Breaker(.standard)
    /// let response = try await breaker.run(classifyResult: { $0.status >= 500 ? .failure : .success }) {
    ///     try await client.get(url)
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - outcome: Maps a value to an outcome. The outcome is replaced if the task was cancelled during the operation.
    ///     The call is then a failure if the deadline came first, or ignored if the caller cancelled first.
    ///   - operation: The work in the caller's isolation.
    /// - Returns: The operation's value for any outcome.
    /// - Throws: ``BreakerOpenError`` if the call is rejected, or the operation's error.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        classifyResult outcome: (Success) -> Outcome,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let ticket = try admit()
        let wasCancelledBefore = Task.isCancelled
        // Only the call through a closed breaker is inlined.
        guard ticket.role == .call || ticket.role == .timedCall else {
            return try await runProbing(ticket, wasCancelledBefore, outcome, operation)
        }
        do {
            let success = try await operation()
            settleReturned(outcome(success), ticket, wasCancelledBefore)
            return success
        } catch {
            settleThrown(error, ticket, wasCancelledBefore)
            throw error
        }
    }

    /// Runs the operation of a call through a half-open breaker.
    @inline(never)
    @usableFromInline
    nonisolated(nonsending) func runProbing<Success>(
        _ ticket: BreakerTicket,
        _ wasCancelledBefore: Bool,
        _ outcome: (Success) -> Outcome,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        do {
            let success =
                ticket.role == .partOfProbe
                ? try await operation() : try await BreakerProbe.run(self, ticket, operation)
            settleReturned(outcome(success), ticket, wasCancelledBefore)
            return success
        } catch {
            settleThrown(error, ticket, wasCancelledBefore)
            throw error
        }
    }

    /// Acquires a permit for one call.
    ///
    /// The caller reports the outcome of the call through the permit.
    ///
    /// ```swift
    /// let breaker = Breaker(.standard)
    /// let permit = try breaker.acquire()
    /// let response = try await client.get(url)
    /// if response.status >= 500 { permit.fail() } else { permit.succeed() }
    /// ```
    ///
    /// Another call through the same breaker needs its own place while the permit is held. Use ``run(_:)`` if the work
    /// may call the breaker again.
    ///
    /// - Returns: A permit that the caller settles at the end of the call.
    /// - Throws: ``BreakerOpenError`` if the call is rejected.
    public func acquire() throws(BreakerOpenError) -> BreakerPermit {
        BreakerPermit(self, try admit())
    }

    /// Admits a call.
    @usableFromInline
    func admit() throws(BreakerOpenError) -> BreakerTicket {
        let fastPathState = fastPathState.load(ordering: .acquiring)
        if fastPathState != 0 { return BreakerTicket(generation: fastPathState >> 1, role: .call) }
        let now = timeSource.now
        let admission = update { state in
            state.admit(now: now, partOf: BreakerProbe.currentTicket(in: self))
        }
        switch admission {
        case .admitted(let ticket): return ticket
        case .rejected(let wait):
            let error = BreakerOpenError(retryAfter: wait.map { .nanoseconds($0) })
            CallTrace.current?.record(.rejected(error))
            throw error
        }
    }

    /// Settles a call after its operation has returned a value.
    @usableFromInline
    func settleReturned(_ outcome: Outcome, _ ticket: BreakerTicket, _ wasCancelledBefore: Bool) {
        let cancelled = Task.isCancelled ? Outcome.ofCancelled(wasCancelledBefore: wasCancelledBefore) : nil
        settle(cancelled ?? outcome, ticket)
    }

    /// Settles a call after its operation has thrown an error.
    @usableFromInline
    func settleThrown(_ error: any Error, _ ticket: BreakerTicket, _ wasCancelledBefore: Bool) {
        let outcome = Outcome.ofThrown(error, wasCancelledBefore: wasCancelledBefore)
        // A rejection from inside the operation is a failure only if a deadline ended the call.
        if outcome == .failure, !error.isRejection {
            let judgement = judge(error)
            settle(judgement.outcome, ticket, retryAfter: judgement.retryAfter)
        } else {
            settle(outcome, ticket)
        }
    }

    func settle(_ outcome: Outcome, _ ticket: BreakerTicket, retryAfter: Duration? = nil) {
        if ticket == .uncounted { return }
        if outcome != .failure, retryAfter == nil,
            ticket.role == .partOfProbe || ignoresSuccesses(of: ticket.generation)
        {
            return
        }
        let now = timeSource.now
        update { state in
            (state.settle(outcome, ticket, retryAfter: retryAfter?.saturatingNanoseconds, now: now), ())
        }
    }

    /// Returns whether a new breaker would decide as this breaker does at a time, but for recorded calls.
    func isAtRest(at now: Int64) -> Bool { machine.withLock { $0.state(now: now) == .closed } }

    /// Adds or removes a handle that forces the breaker open or closed.
    func override(opens: Bool, by change: Int) {
        update { state in (state.override(opens: opens, by: change), ()) }
    }

    /// Returns a part of the state at the present time.
    func read<Result: Sendable>(_ part: (BreakerStateMachine, Int64) -> Result) -> Result {
        let now = timeSource.now
        return machine.withLock { part($0, now) }
    }

    /// Returns whether only a failure of a call of this generation would change the state.
    private func ignoresSuccesses(of generation: UInt64) -> Bool {
        fastPathState.load(ordering: .acquiring) == generation << 1 | 1
    }

    private func update<Result: Sendable>(_ change: (inout BreakerStateMachine) -> (BreakerEvent?, Result)) -> Result {
        let (result, _) = machine.withLock { state -> (Result, (any Sendable)?) in
            let (event, result) = change(&state)
            let newState = state.fastPathState()
            if newState != fastPathState.load(ordering: .relaxed) {
                fastPathState.store(newState, ordering: .releasing)
            }
            // Under the lock, to queue events in the order of the changes. The observer runs outside the lock.
            return (result, event.flatMap { events.emitUnderLock($0) })
        }
        return result
    }
}

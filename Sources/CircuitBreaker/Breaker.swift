public import ReliabilityCore
internal import Synchronization

/// Keeps calls away from a dependency that fails, and lets a few through to find out whether it is well again.
///
/// ```swift
/// let breaker = Breaker(.standard)
/// let rates = try await breaker.run {
///     try await bank.rates()
/// }
/// ```
///
/// A closed breaker admits every call. When the calls fail as its ``BreakerTrip`` says, it opens and rejects every call
/// with ``BreakerOpenError``. After ``BreakerConfiguration/openFor`` it is half-open: it admits as many calls as the
/// configuration's probes, closes when all of them have succeeded, and opens again when one fails.
///
/// - A call counts in the state in which it was admitted and in no other: a late answer from before the breaker opened
///   neither closes nor opens it.
/// - A call that the caller has cancelled counts nowhere, and such a probe gives its place back. A call that a deadline
///   ended is a failure, whoever set the deadline.
/// - A probe that never ends costs `openFor`, then another takes its place; each time this happens in a row the wait
///   doubles, so that an answer slower than `openFor` is heard in the end.
/// - Calls that a probe makes through the same breaker are a part of the probe. They are admitted as long as the probe is
///   under way and its outcome counts. The failure of a part fails the probe; the success of a part counts only by the
///   probe's own. While the breaker is closed, nested calls count one by one.
///
/// Share one breaker among all calls to one dependency.
public final class Breaker: CallPolicy {
    /// What a circuit breaker does with calls.
    ///
    /// The set may grow.
    @nonexhaustive
    public enum State: Hashable, Sendable {
        /// It admits every call.
        case closed
        /// It refuses every call for this long; when nothing remains, the next call is a probe.
        case open(remaining: Duration)
        /// It admits a few calls as probes.
        case halfOpen

        /// Whether the breaker is open, for whatever time remains.
        public var isOpen: Bool { if case .open = self { true } else { false } }
    }

    private let classify: @Sendable (any Error) -> Outcome
    private let timeSource: TimeSource
    private let events: EventSink<BreakerEvent>
    private let lock: Lock<BreakerState>
    /// What most calls need to know, so that they need neither the lock nor the clock.
    ///
    /// Zero unless the breaker is closed; else twice its generation, plus one when it is at rest: a success would change
    /// nothing. Written with `lock` held only.
    private let door: Atomic<UInt64>

    /// Creates a breaker from a configuration.
    ///
    /// - Parameters:
    ///   - configuration: When it opens, for how long, and how it closes.
    ///   - classify: What an error says about the dependency. It is not asked about a call that the caller has cancelled or
    ///     that another policy rejected: these are ignored in any case. An error of a call that a deadline ended is judged
    ///     like any other, unless it is a rejection: that call is a failure.
    ///   - clock: Measures the time.
    ///   - observer: Receives changes of state.
    /// - Precondition: The configuration has no problems.
    public init(
        _ configuration: BreakerConfiguration,
        classify: @escaping @Sendable (any Error) -> Outcome = Breaker.standardOutcome(for:),
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (BreakerEvent) -> Void)? = nil
    ) {
        configuration.requireNoProblems()
        self.classify = classify
        timeSource = TimeSource(clock)
        events = EventSink(observer)
        let state = BreakerState(configuration)
        door = Atomic(Breaker.door(of: state))
        lock = Lock(state)
    }

    /// Creates a breaker that opens for 30 seconds and closes after one successful probe.
    ///
    /// - Parameters:
    ///   - trip: When it opens.
    ///   - classify: What an error says about the dependency.
    ///   - clock: Measures the time.
    ///   - observer: Receives changes of state.
    /// - Precondition: The rule has no problems.
    public convenience init(
        _ trip: BreakerTrip,
        classify: @escaping @Sendable (any Error) -> Outcome = Breaker.standardOutcome(for:),
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (BreakerEvent) -> Void)? = nil
    ) {
        self.init(BreakerConfiguration(trip: trip), classify: classify, clock: clock, observer: observer)
    }

    /// The outcome that an error stands for when no other rule is given.
    ///
    /// | category of the error | outcome |
    /// |---|---|
    /// | `invalid`, `unauthenticated`, `forbidden`, `notFound`, `conflict`, `preconditionFailed`, `tooLarge`, `unprocessable` | `success`: the dependency answered, and finds fault with the request |
    /// | `rateLimited` | `ignored`: the dependency works, and wants fewer calls |
    /// | any other, and an error that is no `ReliabilityError` | `failure` |
    ///
    /// An operation that throws an error of the first kind by itself, before it has called the dependency, should be given
    /// a rule that ignores this error.
    ///
    /// - Parameter error: What the call threw.
    /// - Returns: The outcome.
    public static func standardOutcome(for error: any Error) -> Outcome {
        if let error = error as? any AttemptsError { return standardOutcome(for: error.decidingError) }
        guard let category = (error as? any ReliabilityError)?.category else { return .failure }
        // Ignored, a breaker whose probes all end so would be half-open forever although the dependency answers.
        if category.isFaultOfRequest { return .success }
        return category == .rateLimited ? .ignored : .failure
    }

    /// When the breaker opens, for how long, and how it closes.
    ///
    /// ``reload(_:)`` changes it.
    public var configuration: BreakerConfiguration { lock.withLock { $0.configuration } }

    /// What the breaker does with calls now.
    ///
    /// Asking changes nothing.
    public var state: State {
        let now = timeSource.now
        return lock.withLock { $0.status(now: now) }
    }

    /// One layer, with the configuration's figures.
    public var layers: [PolicyLayer] {
        let configuration = configuration
        return [
            PolicyLayer(
                .circuitBreaker,
                configuration.summary,
                identity: PolicyLayer.Identity(self),
                failuresToOpen: configuration.trip.leastFailures,
                notes: configuration.trip.traffic
            )
        ]
    }

    /// Changes the configuration, and keeps what the breaker knows.
    ///
    /// - An open breaker stays open for the time that remains, or for the new ``BreakerConfiguration/openFor`` if that is
    ///   shorter. A half-open one goes on probing, and closes if enough probes have succeeded by the new count.
    /// - What is remembered of calls is kept when the new rule is of the same kind and has the same window, and begun
    ///   anew otherwise. A reload opens no breaker; the next failure may.
    /// - Calls that are under way count as if nothing had changed.
    ///
    /// - What is remembered is kept or begun anew for each rule of a combination by itself.
    ///
    /// - Parameter configuration: When it opens, for how long, and how it closes from now on.
    /// - Precondition: The configuration has no problems.
    public func reload(_ configuration: BreakerConfiguration) {
        configuration.requireNoProblems()
        let now = timeSource.now
        update { state in (state.reload(configuration, now: now), ()) }
    }

    /// Runs `operation` if the breaker admits it.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns.
    /// - Throws: ``BreakerOpenError`` when the call is rejected; otherwise what `operation` throws.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await run(countingResult: { _ in .success }, operation)
    }

    /// Runs `operation` if the breaker admits it, and counts its result by a rule.
    ///
    /// ```swift
    /// let response = try await breaker.run(countingResult: { $0.status >= 500 ? .failure : .success }) {
    ///     try await client.get(url)
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - outcome: What a result says about the dependency. If the task was cancelled meanwhile, the result is a failure
    ///     where the deadline came first, and ignored where the caller did.
    ///   - operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns, whatever it says.
    /// - Throws: ``BreakerOpenError`` when the call is rejected; otherwise what `operation` throws.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        countingResult outcome: (Success) -> Outcome,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let (generation, role) = try admit()
        let wasCancelled = Task.isCancelled
        // What is inlined is the call through a closed breaker.
        guard role == .call else { return try await runProbing(generation, role, wasCancelled, outcome, operation) }
        do {
            let success = try await operation()
            settleReturned(outcome(success), generation, wasCancelled)
            return success
        } catch {
            settleThrown(error, generation, wasCancelled)
            throw error
        }
    }

    /// Runs the operation of a half-open breaker's call.
    @inline(never)
    @usableFromInline
    nonisolated(nonsending) func runProbing<Success>(
        _ generation: UInt64,
        _ role: BreakerRole,
        _ wasCancelled: Bool,
        _ outcome: (Success) -> Outcome,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let isPart = role == .partOfProbe
        do {
            let success =
                isPart ? try await operation() : try await BreakerProbe.run(self, generation, operation)
            settleReturned(outcome(success), generation, wasCancelled, isPart: isPart)
            return success
        } catch {
            settleThrown(error, generation, wasCancelled, isPart: isPart)
            throw error
        }
    }

    /// Asks for the right to make one call whose outcome is reported by hand.
    ///
    /// ```swift
    /// let permit = try breaker.acquire()
    /// let response = await connection.send(request)
    /// if response.isServerError { permit.fail() } else { permit.succeed() }
    /// ```
    ///
    /// A permit is for one call. A call that is made through the same breaker while the permit is held needs a place of its
    /// own; use ``run(_:)`` where the work inside may call the breaker again.
    ///
    /// - Returns: A permit, to be settled when the call is over.
    /// - Throws: ``BreakerOpenError`` when the call is rejected.
    public func acquire() throws(BreakerOpenError) -> BreakerPermit {
        let (generation, role) = try admit()
        return BreakerPermit(self, generation, isPart: role == .partOfProbe)
    }

    /// The generation in which a call is admitted, and what it is admitted as.
    @usableFromInline
    func admit() throws(BreakerOpenError) -> (generation: UInt64, role: BreakerRole) {
        let door = door.load(ordering: .acquiring)
        if door != 0 { return (door >> 1, .call) }
        let now = timeSource.now
        let admission = update { state in
            let (admission, event) = state.admit(now: now, partOf: BreakerProbe.generation(of: self))
            return (event, admission)
        }
        switch admission {
        case .admitted(let generation, let role): return (generation, role)
        case .refused(let wait):
            let error = BreakerOpenError(wait: .nanoseconds(wait))
            CallTrace.current?.note(.refused(error))
            throw error
        }
    }

    /// The operation returned.
    @usableFromInline
    func settleReturned(_ outcome: Outcome, _ generation: UInt64, _ wasCancelled: Bool, isPart: Bool = false) {
        let outcome = Task.isCancelled ? Outcome.ofCancelled(wasCancelled: wasCancelled) ?? outcome : outcome
        settle(outcome, generation: generation, isPart: isPart)
    }

    /// The operation threw.
    @usableFromInline
    func settleThrown(_ error: any Error, _ generation: UInt64, _ wasCancelled: Bool, isPart: Bool = false) {
        let outcome = Outcome.ofThrown(error, wasCancelled: wasCancelled)
        // A rejection from inside is a failure only where the deadline has made it one.
        let isJudged = outcome == .failure && !error.isRejection
        settle(isJudged ? classify(error) : outcome, generation: generation, isPart: isPart)
    }

    func settle(_ outcome: Outcome, generation: UInt64, isPart: Bool) {
        if outcome != .failure, isPart || isAtRest(in: generation) { return }
        let now = timeSource.now
        update { state in (state.settle(outcome, generation: generation, now: now), ()) }
    }

    /// Whether nothing but a failure of a call of this generation would change anything.
    private func isAtRest(in generation: UInt64) -> Bool {
        door.load(ordering: .acquiring) == generation << 1 | 1
    }

    private func update<Result: Sendable>(_ change: (inout BreakerState) -> (BreakerEvent?, Result)) -> Result {
        lock.withLock { state in
            let (event, result) = change(&state)
            let now = Breaker.door(of: state)
            if now != door.load(ordering: .relaxed) { door.store(now, ordering: .releasing) }
            // Under the lock, so that events are queued in the order of the changes; the observer does not run in it.
            if let event { events.emit(event) }
            return result
        }
    }

    private static func door(of state: BreakerState) -> UInt64 {
        guard state.phase == .closed else { return 0 }
        return state.generation << 1 | (state.isAtRest ? 1 : 0)
    }
}

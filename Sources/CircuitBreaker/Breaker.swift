public import ReliabilityCore
internal import Synchronization

/// Keeps calls away from a dependency that fails, and lets a few through to find out whether it is well again.
///
/// ```swift
/// let breaker = Breaker(.consecutiveFailures(5))
/// let rates = try await breaker.run {
///     try await bank.rates()
/// }
/// ```
///
/// A closed breaker admits every call. When the calls fail as its ``BreakerTrip`` says, it opens and refuses every call
/// with ``BreakerOpenError``. After ``BreakerConfiguration/openFor`` it is half-open: it admits as many calls as the
/// configuration's probes, closes when all of them have succeeded, and opens again when one fails.
///
/// - A call counts in the state in which it was admitted and in no other: a late answer from before the breaker opened
///   neither closes nor opens it.
/// - A call whose task was cancelled counts nowhere, and a probe that was cancelled gives its place back.
/// - A probe that never ends costs `openFor`, then another takes its place; each time this happens in a row the wait
///   doubles, so that an answer slower than `openFor` is heard in the end.
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
    ///   - classify: What an error says about the dependency. It is not asked about calls that were cancelled or
    ///     refused by a policy: they are ignored in any case.
    ///   - clock: Measures the time.
    ///   - observer: Is told of changes of state.
    public init(
        _ configuration: BreakerConfiguration,
        classify: @escaping @Sendable (any Error) -> Outcome = Breaker.standardOutcome(for:),
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (BreakerEvent) -> Void)? = nil
    ) {
        self.classify = classify
        timeSource = TimeSource(clock)
        events = EventSink(observer)
        let state = BreakerState(configuration)
        door = Atomic(Breaker.door(of: state))
        lock = Lock(state)
    }

    /// Creates a breaker that opens for 30 seconds and closes after one successful probe.
    ///
    /// - Parameter trip: When it opens.
    public convenience init(_ trip: BreakerTrip) {
        self.init(BreakerConfiguration(trip: trip))
    }

    /// What an error says about the dependency when no other rule is given.
    ///
    /// An error of this library's protocol that finds fault with the request (its category is `invalid`,
    /// `unauthenticated`, `forbidden`, `notFound`, `conflict`, `preconditionFailed`, `tooLarge` or `unprocessable`) is
    /// ignored. Every other error is a failure.
    ///
    /// - Parameter error: What the call threw.
    /// - Returns: The outcome.
    public static func standardOutcome(for error: any Error) -> Outcome {
        guard let error = error as? any ReliabilityError else { return .failure }
        let faultsOfTheRequest: [ErrorCategory] = [
            .invalid, .unauthenticated, .forbidden, .notFound, .conflict, .preconditionFailed, .tooLarge,
            .unprocessable,
        ]
        return faultsOfTheRequest.contains(error.category) ? .ignored : .failure
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
        [PolicyLayer(.circuitBreaker, configuration.summary, identity: PolicyLayer.Identity(self))]
    }

    /// Goes on under another configuration, without losing what the breaker knows.
    ///
    /// - An open breaker stays open for the time that remains, or for the new ``BreakerConfiguration/openFor`` if that is
    ///   shorter. A half-open one goes on probing, and closes if enough probes have succeeded by the new count.
    /// - What is remembered of calls is kept when the new rule is of the same kind and has the same window, and begun
    ///   anew otherwise. A reload opens no breaker; the next failure may.
    /// - Calls that are under way count as if nothing had changed.
    ///
    /// - Parameter configuration: When it opens, for how long, and how it closes from now on.
    public func reload(_ configuration: BreakerConfiguration) {
        let now = timeSource.now
        update { state in (state.reload(configuration, now: now), ()) }
    }

    /// Runs `operation` if the breaker admits it.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns.
    /// - Throws: ``BreakerOpenError`` when the call is refused; otherwise what `operation` throws.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let generation = try admit()
        do {
            let success = try await operation()
            settleReturned(generation)
            return success
        } catch {
            settleThrown(error, generation)
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
    /// - Returns: A permit, to be settled when the call is over.
    /// - Throws: ``BreakerOpenError`` when the call is refused.
    public func acquire() throws(BreakerOpenError) -> BreakerPermit {
        BreakerPermit(self, generation: try admit())
    }

    /// The generation in which a call is admitted.
    @usableFromInline
    func admit() throws(BreakerOpenError) -> UInt64 {
        let door = door.load(ordering: .acquiring)
        if door != 0 { return door >> 1 }
        let now = timeSource.now
        let admission = update { state in
            let (admission, event) = state.admit(now: now)
            return (event, admission)
        }
        switch admission {
        case .admitted(let generation): return generation
        case .refused(let wait):
            let error = BreakerOpenError(wait: .nanoseconds(wait))
            CallTrace.current?.note(.refused(error))
            throw error
        }
    }

    /// The operation returned.
    @usableFromInline
    func settleReturned(_ generation: UInt64) {
        // Asked first because it is cheaper than the task's cancellation, which then makes no difference.
        if isAtRest(in: generation) { return }
        // Work that is cancelled often returns early instead of throwing: that is no evidence either.
        settle(Task.isCancelled ? .ignored : .success, generation: generation)
    }

    /// The operation threw.
    @usableFromInline
    func settleThrown(_ error: any Error, _ generation: UInt64) {
        let outcome = Outcome.ofThrown(error)
        settle(outcome == .failure ? classify(error) : outcome, generation: generation)
    }

    func settle(_ outcome: Outcome, generation: UInt64) {
        if outcome != .failure, isAtRest(in: generation) { return }
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

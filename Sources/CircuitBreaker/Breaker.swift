public import ReliabilityCore

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

    /// When the breaker opens, for how long, and how it closes.
    public let configuration: BreakerConfiguration
    private let classify: @Sendable (any Error) -> Outcome
    private let timeSource: TimeSource
    private let events: EventSink<BreakerEvent>
    private let lock: Lock<BreakerState>

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
        self.configuration = configuration
        self.classify = classify
        timeSource = TimeSource(clock)
        events = EventSink(observer)
        lock = Lock(BreakerState(configuration))
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

    /// What the breaker does with calls now.
    ///
    /// Asking changes nothing.
    public var state: State {
        let now = timeSource.now
        return lock.withLock { $0.status(now: now) }
    }

    /// Runs `operation` if the breaker admits it.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns.
    /// - Throws: ``BreakerOpenError`` when the call is refused; otherwise what `operation` throws.
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let permit = try acquire()
        do {
            let success = try await operation()
            // Work that is cancelled often returns early instead of throwing: that is no evidence either.
            permit.settle(Task.isCancelled ? .ignored : .success)
            return success
        } catch {
            let outcome = Outcome.ofThrown(error)
            permit.settle(outcome == .failure ? classify(error) : outcome)
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
        let now = timeSource.now
        let admission = lock.withLock { state in
            let (admission, event) = state.admit(now: now)
            // Under the lock, so that events are queued in the order of the changes; the observer does not run in it.
            if let event { events.emit(event) }
            return admission
        }
        switch admission {
        case .admitted(let generation): return BreakerPermit(self, generation: generation)
        case .refused(let wait): throw BreakerOpenError(wait: .nanoseconds(wait))
        }
    }

    func settle(_ outcome: Outcome, generation: UInt64) {
        let now = timeSource.now
        lock.withLock { state in
            if let event = state.settle(outcome, generation: generation, now: now) { events.emit(event) }
        }
    }
}

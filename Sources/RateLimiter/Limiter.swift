internal import ReliabilityCore
public import ReliabilityStore
internal import Synchronization

/// A rate limiter that allows each key a number of calls in a period, counted in a store.
///
/// ```swift
/// let logins = Limiter(.login, keyspace: "logins", store: store, storeFailure: .failClosed())
/// try await logins.consume([emailAddress.lowercased()])
/// ```
///
/// - A call is decided and counted in a single atomic step of the store, on the clock of the store. All tasks and
///   processes that share the store also share the limit.
/// - A call that is not allowed is not counted.
/// - Every entry in the store expires by itself. Damaged state counts as empty.
/// - The store gets at most one request for each call and no request is repeated. A call is therefore never counted
///   twice.
/// - A store that fails or answers late is *down*, and the failure mode decides. After three failures in a row, the
///   store gets a request each second until a request succeeds.
///
/// Each use needs a keyspace of its own. Limiters with the same store and keyspace share their counts and must have the
/// same configuration. If the limit of a keyspace changes, its state is kept and cut to the new limit. If the algorithm
/// changes, the state starts empty.
public final class Limiter: Sendable {
    /// The limit for each key.
    public let configuration: Configuration
    /// The keyspace of the limiter's keys in the store.
    public let keyspace: Keyspace
    private let store: GuardedStore<any KeyValueStore>
    private let maxKeyBytes: Int
    private let canStoreStall: Bool
    private let storeFailure: StoreFailureMode
    private let events: EventSink<LimiterEvent>
    private let allowed = Atomic<Int>(0)

    /// Creates a limiter.
    ///
    /// - Parameters:
    ///   - configuration: The limit for each key.
    ///   - keyspace: The keyspace of the limiter's keys in the store. No other part may use the keyspace.
    ///   - store: The store in which calls are counted.
    ///   - storeFailure: The behavior while the store is down, and the timeout of a call to the store.
    ///   - clock: The clock that measures the waits for the store. The store's clock measures the limit. Defaults to
    ///     `ContinuousClock`.
    ///   - observer: Receives the calls that were not allowed and the failures of the store. Defaults to `nil`.
    /// - Precondition: `configuration` and `storeFailure` are valid (``Configuration/validate()``).
    public init(
        _ configuration: Configuration,
        keyspace: Keyspace,
        store: any KeyValueStore,
        storeFailure: StoreFailureMode,
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (LimiterEvent) -> Void)? = nil
    ) {
        requireValid { () throws(ConfigurationError) in try configuration.validate(as: "limiter \(keyspace)") }
        requireValid(storeFailure.validate)
        self.configuration = configuration
        self.keyspace = keyspace
        self.storeFailure = storeFailure
        maxKeyBytes = store.capabilities.maxKeyBytes
        canStoreStall = store.capabilities.canStall
        let events = EventSink(observer)
        self.events = events
        self.store = GuardedStore(
            store,
            canStall: store.capabilities.canStall,
            timeout: storeFailure.timeout,
            timeSource: TimeSource(clock),
            events: events
        )
    }

    /// The number of calls that this limiter has allowed since it was created.
    ///
    /// The number includes calls that were allowed while the store was down.
    public var allowedCount: Int { allowed.load(ordering: .relaxed) }

    /// Decides about a call, and counts the call if it is allowed.
    ///
    /// The caller must read ``LimiterDecision/isAllowed``. A call that is not allowed is a decision and not an error.
    ///
    /// - Parameters:
    ///   - key: The key of the call. The store contains
    ///     the components as they are, and empty components are allowed.
    ///   - cost: The number of calls that this call counts for (at least 1). Defaults to 1.
    /// - Returns: The decision.
    /// - Throws: ``LimiterError`` if no decision is possible: the cost is not positive or exceeds the limit, the key is
    ///   too long, or the store is down and the failure mode is `failClosed`. `CancellationError` if the caller cancels
    ///   the task before the store has answered.
    public func tryConsume(_ key: CompositeKey, cost: Int = 1) async throws -> LimiterDecision {
        try await tryConsume(StoreKey(keyspace, key), cost: cost)
    }

    /// Counts a call, and throws an error if the call is not allowed.
    ///
    /// - Parameters:
    ///   - key: The key of the call.
    ///   - cost: The number of calls that this call counts for (at least 1). Defaults to 1.
    /// - Returns: The decision.
    /// - Throws: ``LimiterError`` if the call is not allowed or no decision is possible. `CancellationError` if the
    ///   caller cancels the task before the store has answered.
    @discardableResult
    public func consume(_ key: CompositeKey, cost: Int = 1) async throws -> LimiterDecision {
        try await consume(StoreKey(keyspace, key), cost: cost)
    }

    /// Returns a policy that consumes from the limit of a key before each call.
    ///
    /// - Parameters:
    ///   - key: The key of the calls.
    ///   - cost: The number of calls that each call counts for (at least 1). Defaults to 1.
    /// - Returns: The policy.
    public func policy(for key: CompositeKey, cost: Int = 1) -> LimiterPolicy {
        LimiterPolicy(limiter: self, key: StoreKey(keyspace, key), cost: cost)
    }

    @discardableResult
    func consume(_ key: StoreKey, cost: Int) async throws -> LimiterDecision {
        do {
            let decision = try await tryConsume(key, cost: cost)
            guard decision.isAllowed else { throw LimiterError(.exceeded(decision)) }
            return decision
        } catch let error as LimiterError {
            CallTrace.current?.record(.rejected(error))
            throw error
        }
    }

    /// Returns the layer of a policy for a key.
    func layer(_ key: StoreKey, cost: Int) -> PolicyLayer {
        let storeDown = storeFailure.action == .failOpen ? "allows all calls" : "rejects all calls"
        let costText = cost == 1 ? "" : ", \(cost) for each call"
        let waits = canStoreStall ? storeFailure.timeout : .zero
        return PolicyLayer(
            .rateLimit,
            "\(configuration.summary)\(costText), for one key of \(keyspace); \(storeDown) while its store is down",
            attempts: (1...configuration.capacity).contains(cost) ? 1 : 0,
            waits: waits,
            plannedWaits: waits,
            identity: PolicyLayer.Identity(self, part: key.hashValue)
        )
    }

    private func tryConsume(_ key: StoreKey, cost: Int) async throws -> LimiterDecision {
        let capacity = configuration.capacity
        guard cost >= 1 else { throw LimiterError(.invalidCost(cost)) }
        guard cost <= capacity else { throw LimiterError(.neverSatisfiable(cost: cost, limit: capacity)) }
        guard key.byteCount <= maxKeyBytes else { throw LimiterError(.keyTooLong(bytes: key.byteCount)) }
        let update = configuration.update(cost: cost)
        let decision: LimiterDecision
        do throws(StoreError) {
            decision = try await decide(key, update)
        } catch {
            return try decide(without: error)
        }
        if decision.isAllowed { allowed.wrappingAdd(1, ordering: .relaxed) } else { events.emit(.limited(decision)) }
        return decision
    }

    private func decide(_ key: StoreKey, _ update: AtomicUpdate) async throws(StoreError) -> LimiterDecision {
        try await store.write { [configuration] store throws(StoreError) in
            let answer = try await store.update(key, update)
            return LimiterDecision(
                isAllowed: answer.isAllowed,
                failedOpen: false,
                limit: configuration.capacity,
                period: configuration.period,
                remaining: Int(clamping: answer.remaining),
                retryAfter: answer.retryAfter,
                resetAfter: answer.resetAfter
            )
        }
    }

    private func decide(without error: StoreError) throws -> LimiterDecision {
        // A cancelled caller gets no decision in either failure mode.
        if CancellationCause.current == .caller { throw CancellationError() }
        switch storeFailure.action {
        case .failClosed: throw LimiterError(.storeUnavailable(error))
        case .failOpen:
            allowed.wrappingAdd(1, ordering: .relaxed)
            return LimiterDecision(
                isAllowed: true,
                failedOpen: true,
                limit: configuration.capacity,
                period: configuration.period,
                remaining: 0,
                retryAfter: nil,
                resetAfter: .zero
            )
        }
    }
}

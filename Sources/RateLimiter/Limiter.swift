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
///   twice. After an outage with a local fallback, the first call of a key can need two further requests.
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
    private let local: LocalLimits?
    private let events: EventSink<LimiterEvent>
    private let allowed = Atomic<Int>(0)

    /// Creates a limiter.
    ///
    /// - Parameters:
    ///   - configuration: The limit for each key.
    ///   - keyspace: The keyspace of the limiter's keys in the store. No other part may use the keyspace.
    ///   - store: The store in which calls are counted.
    ///   - storeFailure: The behavior while the store is down, and the timeout of a call to the store.
    ///   - clock: The clock that measures the waits for the store and the limits of a local fallback. The store's clock
    ///     measures the limit. Defaults to `ContinuousClock`.
    ///   - observer: Receives the calls that were not allowed and the failures of the store. Defaults to `nil`.
    /// - Precondition: `configuration` and `storeFailure` are valid (``Configuration/validate()``). The share of a local
    ///   fallback allows a call at least every 100 years.
    public convenience init(
        _ configuration: Configuration,
        keyspace: Keyspace,
        store: any KeyValueStore,
        storeFailure: StoreFailureMode,
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (LimiterEvent) -> Void)? = nil
    ) {
        self.init(
            configuration,
            keyspace: keyspace,
            store: store,
            storeFailure: storeFailure,
            localMemory: InMemoryStore.Configuration(maxEntries: 100_000, maxBytes: 64 << 20),
            clock: clock,
            observer: observer
        )
    }

    init(
        _ configuration: Configuration,
        keyspace: Keyspace,
        store: any KeyValueStore,
        storeFailure: StoreFailureMode,
        localMemory: InMemoryStore.Configuration,
        clock: some Clock<Duration>,
        observer: (@Sendable (LimiterEvent) -> Void)?
    ) {
        requireValid { () throws(ConfigurationError) in try configuration.validate(as: "limiter \(keyspace)") }
        requireValid(storeFailure.validate)
        self.configuration = configuration
        self.keyspace = keyspace
        self.storeFailure = storeFailure
        maxKeyBytes = store.capabilities.maxKeyBytes
        canStoreStall = store.capabilities.canStall
        if case .localFallback(let share) = storeFailure.action {
            let local = LocalLimits(share: share, of: configuration, localMemory, clock: clock)
            requireValid { () throws(ConfigurationError) in
                try local.share.validate(as: "share \(share) of limiter \(keyspace)")
            }
            self.local = local
        } else {
            local = nil
        }
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
    ///   too long, or the store is down and the failure mode does not allow the call. `CancellationError` if the caller
    ///   cancels the task before the store has answered.
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
        let withoutLimit = storeFailure.action == .failOpen ? "allows all calls" : "rejects all calls"
        let storeDown = local.map { "limits each process to \($0.share.summary)" } ?? withoutLimit
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
        let uncharged = local?.takeUncharged(key)
        do throws(StoreError) {
            let decision = try await decide(key, cost: cost, uncharged: uncharged?.count ?? 0)
            return report(decision, limit: capacity, isLocal: false)
        } catch {
            if let uncharged { local?.restore(uncharged, key) }
            return try decide(key, cost: cost, without: error)
        }
    }

    /// Charges the calls that the store has not counted yet, and decides with the store.
    private func decide(
        _ key: StoreKey,
        cost: Int,
        uncharged: Int
    ) async throws(StoreError) -> AtomicUpdate.Decision {
        try await store.write { [configuration] store throws(StoreError) in
            func update(_ cost: Int) async throws(StoreError) -> AtomicUpdate.Decision {
                try await store.update(key, configuration.update(cost: cost))
            }
            if uncharged > 0 {
                let charge = try await update(uncharged)
                // A denied update counts nothing. The charge then takes the rest of the limit.
                if !charge.isAllowed, charge.remaining > 0 { _ = try await update(Int(clamping: charge.remaining)) }
            }
            return try await update(cost)
        }
    }

    private func decide(_ key: StoreKey, cost: Int, without error: StoreError) throws -> LimiterDecision {
        // A cancelled caller gets no decision in any failure mode.
        if CancellationCause.current == .caller { throw CancellationError() }
        if let local { return try decide(key, cost: cost, with: local, without: error) }
        guard storeFailure.action == .failOpen else { throw LimiterError(.storeUnavailable(error)) }
        allowed.wrappingAdd(1, ordering: .relaxed)
        return LimiterDecision(
            isAllowed: true,
            failedOpen: true,
            isLocal: false,
            limit: configuration.capacity,
            period: configuration.period,
            remaining: 0,
            retryAfter: nil,
            resetAfter: .zero
        )
    }

    private func decide(
        _ key: StoreKey,
        cost: Int,
        with local: LocalLimits,
        without error: StoreError
    ) throws(LimiterError) -> LimiterDecision {
        // The share never allows the cost, and the store does.
        if cost > local.share.capacity { throw LimiterError(.storeUnavailable(error)) }
        do throws(StoreError) {
            return report(try local.decide(key, cost: cost), limit: local.share.capacity, isLocal: true)
        } catch let full {
            let explanation = "the local limits are full while the store is down"
            throw LimiterError(.storeUnavailable(StoreError(full.reason, explanation, underlyingError: error)))
        }
    }

    /// Counts or reports a decision.
    private func report(_ decision: AtomicUpdate.Decision, limit: Int, isLocal: Bool) -> LimiterDecision {
        let decision = LimiterDecision(
            isAllowed: decision.isAllowed,
            failedOpen: false,
            isLocal: isLocal,
            limit: limit,
            period: configuration.period,
            remaining: Int(clamping: decision.remaining),
            retryAfter: decision.retryAfter,
            resetAfter: decision.resetAfter
        )
        if decision.isAllowed { allowed.wrappingAdd(1, ordering: .relaxed) } else { events.emit(.limited(decision)) }
        return decision
    }
}

internal import ReliabilityCore
public import ReliabilityStore

/// Allows each key a number of calls in a time, counted in a store.
///
/// ```swift
/// let logins = Limiter(.fivePerQuarterHour, keyspace: "logins", store: store, whenStoreIsDown: .closed())
/// try await logins.require(address)
/// ```
///
/// - A call is decided and counted in one atomic step of the store, on the store's clock: however many tasks and
///   processes share it, no more than the limit are allowed.
/// - A call that is not allowed is not counted.
/// - Everything in the store expires by itself, and damaged state counts as none.
/// - The store is asked at most once for each call. A store that answers late or not at all is *down*: the failure
///   policy decides, and nothing is asked twice, so nothing is counted twice. After three failures in a row it is asked
///   once a second, and used again after its first answer.
///
/// A key is the bytes of one or more texts, such as a tenant and a user; `("a", "bc")` and `("ab", "c")` are two keys.
/// Limiters over one store that share a keyspace share their counts, and must have the same limit: give each use a
/// keyspace of its own. When the limit of a keyspace changes, its state is kept and cut to what the new limit allows;
/// when the algorithm changes, it starts afresh.
public final class Limiter: Sendable {
    /// How many calls each key is allowed.
    public let limit: RateLimit
    /// The group of the limiter's keys in the store.
    public let keyspace: Keyspace
    private let store: GuardedStore<any KeyValueStore>
    private let maximumKeyBytes: Int
    private let canStoreStall: Bool
    private let whenStoreIsDown: StoreFailurePolicy
    private let isStoreDown = Lock(false)
    private let events: EventSink<LimiterEvent>

    /// Creates a limiter.
    ///
    /// - Parameters:
    ///   - limit: How many calls each key is allowed.
    ///   - keyspace: The group of the limiter's keys in the store, for this limiter alone.
    ///   - store: Where calls are counted.
    ///   - policy: Whether calls are allowed while the store is down, and how long one call to it may take.
    ///   - clock: Measures the waits for the store; the limit itself is measured by the store's clock.
    ///   - observer: Is told of calls that were not allowed, and of the store's failures.
    /// - Precondition: The limit has no problems.
    public init(
        _ limit: RateLimit,
        keyspace: Keyspace,
        store: any KeyValueStore,
        whenStoreIsDown policy: StoreFailurePolicy,
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (LimiterEvent) -> Void)? = nil
    ) {
        let problems = limit.problems()
        requireValid(problems.isEmpty, "the limiter \(keyspace) cannot work: \(problems.joined(separator: "; "))")
        self.limit = limit
        self.keyspace = keyspace
        self.store = GuardedStore(store, timeLimit: policy.timeLimit, timeSource: TimeSource(clock))
        maximumKeyBytes = store.capabilities.maximumKeyBytes
        canStoreStall = store.capabilities.canStall
        whenStoreIsDown = policy
        events = EventSink(observer)
    }

    /// Decides about a call, and counts it if it is allowed.
    ///
    /// - Parameters:
    ///   - key: On whose behalf the call is made.
    ///   - cost: How much it counts for; at least 1.
    /// - Returns: The decision; look at ``RateDecision/isAllowed``.
    /// - Throws: ``RateLimitError`` when no decision is possible: the cost is not positive or more than the limit can
    ///   ever allow, the key is too long, or the store is down and the failure policy is closed. `CancellationError`
    ///   when the task is cancelled before the store has answered.
    public func check(_ key: String..., cost: Int = 1) async throws -> RateDecision {
        try await check(storeKey(key), cost: cost)
    }

    /// Decides about a call, counts it if it is allowed, and throws if it is not.
    ///
    /// - Parameters:
    ///   - key: On whose behalf the call is made.
    ///   - cost: How much it counts for; at least 1.
    /// - Returns: The decision.
    /// - Throws: ``RateLimitError`` when the call is not allowed. `CancellationError` when the task is cancelled before
    ///   the store has answered.
    @discardableResult
    public func require(_ key: String..., cost: Int = 1) async throws -> RateDecision {
        try await require(storeKey(key), cost: cost)
    }

    /// A policy that requires a call to be allowed before it runs: a limiter for one key, to be composed with others.
    ///
    /// - Parameters:
    ///   - key: On whose behalf calls are made.
    ///   - cost: How much each counts for; at least 1.
    /// - Returns: The policy.
    public func policy(for key: String..., cost: Int = 1) -> LimiterPolicy {
        LimiterPolicy(limiter: self, key: storeKey(key), cost: cost)
    }

    private func storeKey(_ components: [String]) -> StoreKey {
        StoreKey(keyspace, bytes: components.map { Array($0.utf8) })
    }

    @discardableResult
    func require(_ key: StoreKey, cost: Int) async throws -> RateDecision {
        do {
            let decision = try await check(key, cost: cost)
            guard decision.isAllowed else { throw RateLimitError(.exceeded(decision)) }
            return decision
        } catch let error as RateLimitError {
            CallTrace.current?.note(.refused(error))
            throw error
        }
    }

    /// The one layer of a policy for a key.
    func layer(_ key: StoreKey, cost: Int) -> PolicyLayer {
        let down = whenStoreIsDown.action == .open ? "allows all without its store" : "refuses without its store"
        let each = cost == 1 ? "" : ", \(cost) for each call"
        let waits = canStoreStall ? whenStoreIsDown.timeLimit : .zero
        return PolicyLayer(
            .rateLimit,
            "\(limit.summary)\(each), for one key of \(keyspace); \(down)",
            attempts: (1...limit.capacity).contains(cost) ? 1 : 0,
            waits: waits,
            plannedWaits: waits,
            identity: PolicyLayer.Identity(self, part: key.hashValue)
        )
    }

    private func check(_ key: StoreKey, cost: Int) async throws -> RateDecision {
        guard cost >= 1 else { throw RateLimitError(.invalidCost(cost)) }
        guard cost <= limit.capacity else {
            throw RateLimitError(.neverSatisfiable(cost: cost, limit: limit.capacity))
        }
        guard key.byteCount <= maximumKeyBytes else { throw RateLimitError(.keyTooLong(bytes: key.byteCount)) }
        let update = limit.update(cost: cost)
        let result: UpdateResult
        do throws(StoreError) {
            result = try await store.write { store throws(StoreError) in
                try await store.update([(key: key, update: update)])
            }
        } catch {
            return try decide(without: error)
        }
        guard let answer = result.decisions.first else {
            return try decide(without: StoreError(.failed, "the store returned no decision"))
        }
        noteStore(isDown: false, .storeBack)
        let decision = RateDecision(
            isAllowed: answer.isAllowed,
            isUncounted: false,
            limit: limit.capacity,
            remaining: Int(clamping: answer.remaining),
            retryAfter: answer.retryAfter,
            resetAfter: answer.resetAfter
        )
        if !decision.isAllowed { events.emit(.limited(decision)) }
        return decision
    }

    private func decide(without error: StoreError) throws -> RateDecision {
        // The caller went away: that says nothing about the store.
        if CancellationCause.current == .caller { throw CancellationError() }
        // Nor does it if the caller had too little time for an answer.
        if Deadline.current?.isExpired != true { noteStore(isDown: true, .storeDown(error)) }
        switch whenStoreIsDown.action {
        case .closed: throw RateLimitError(.storeUnavailable(error))
        case .open:
            return RateDecision(
                isAllowed: true,
                isUncounted: true,
                limit: limit.capacity,
                remaining: 0,
                retryAfter: nil,
                resetAfter: .zero
            )
        }
    }

    private func noteStore(isDown: Bool, _ event: @autoclosure () -> LimiterEvent) {
        isStoreDown.withLock { wasDown in
            if wasDown == isDown { return }
            wasDown = isDown
            // Under the lock, so that down and back alternate; the observer does not run in it.
            events.emit(event())
        }
    }
}

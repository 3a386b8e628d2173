internal import ReliabilityCore
public import ReliabilityStore

/// Runs an operation once for each key, and answers duplicates with the first result or an error.
///
/// ```swift
/// let dedup = Deduplicator(
///     .replay(retention: .seconds(3 * 86_400)),
///     keyspace: "charges",
///     store: store,
///     storeFailure: .failClosed()
/// )
/// let result = try await dedup.run("charge", [customerID, idempotencyKey], fingerprint: order.bytes) { claim in
///     try await charge(order, key: idempotencyKey)        // runs again after a crash: the provider needs the key
/// }
/// ```
///
/// - A call claims its key in a single atomic step of the store. Of many simultaneous calls with a key, exactly one
///   call runs.
/// - A duplicate of a running call is rejected. A duplicate of a finished call receives the first result or is
///   rejected, depending on the ``Mode``.
/// - A call with the same key and another fingerprint is rejected in every state of the first call.
/// - Only final results are kept. An operation that throws or is cancelled releases its claim, and so does a result
///   that `isFinal` rejects. The next call with the key then runs.
///   An operation that may have had an effect before it threw must look up the effect on its next run, or pass the key
///   on to the dependency.
/// - A result is written until the store has answered. A caller waits for that no longer than for any other store call.
/// - A claim that is never settled is taken over by a later call, for example after a crash. The operation then runs
///   again with ``DedupClaim/isTakeover`` set. In a store with a single owner, the takeover needs a store that was
///   opened again. In a store of several processes, the takeover needs a lease that has ended.
/// - A process never runs an operation for a key that is already running in the same process.
/// - The deadline of the caller limits every wait for the store. The writing of a result continues after the deadline.
///
/// Two exceptions remain. A process that is suspended for longer than its lease can lose its claim to another process
/// in a store of several processes. With `failOpen`, calls run without a claim while the store is down.
public struct Deduplicator: Sendable {
    /// The answer to duplicates, the lease, and the required durability.
    public var configuration: Configuration { engine.configuration }
    /// The keyspace of the deduplicator's keys in the store.
    public let keyspace: Keyspace
    package let store: any KeyValueStore
    let engine: DedupEngine

    /// Creates a deduplicator.
    ///
    /// - Parameters:
    ///   - configuration: The answer to duplicates, the lease, and the required durability.
    ///   - keyspace: The keyspace of the deduplicator's keys in the store. No other part may use the keyspace.
    ///   - store: The store of claims and results.
    ///   - storeFailure: The mode `failOpen` or `failClosed` with the timeout of a call to the store.
    ///   - clock: The clock of lease renewals and of the store's timeout. Defaults to `ContinuousClock`.
    ///   - observer: Receives every event. Defaults to `nil`.
    /// - Precondition: `configuration` and `storeFailure` are valid, `storeFailure` is no local fallback, and the store has
    ///   the configured durability.
    public init(
        _ configuration: Configuration,
        keyspace: Keyspace,
        store: any KeyValueStore,
        storeFailure: StoreFailureMode,
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (DedupEvent) -> Void)? = nil
    ) {
        self.init(
            configuration,
            keyspace: keyspace,
            store: store,
            storeFailure: storeFailure,
            clock: clock,
            localClaims: .shared,
            observer: observer
        )
    }

    init(
        _ configuration: Configuration,
        keyspace: Keyspace,
        store: any KeyValueStore,
        storeFailure: StoreFailureMode,
        clock: some Clock<Duration>,
        localClaims: LocalClaims,
        observer: (@Sendable (DedupEvent) -> Void)?
    ) {
        requireValid(configuration.validate)
        requireValid(storeFailure.validate)
        requireValid(
            storeFailure.action == .failOpen || storeFailure.action == .failClosed,
            "storeFailure of the deduplicator of \(keyspace) must be failOpen or failClosed: with a local fallback, two "
                + "processes would run the same operation (is \(storeFailure.action))"
        )
        store.capabilities.require(configuration.durability, for: "the deduplicator of \(keyspace)")
        self.keyspace = keyspace
        self.store = store
        engine = DedupEngine(
            configuration,
            store: store,
            storeFailure: storeFailure,
            timeSource: TimeSource(clock),
            localClaims: localClaims,
            events: EventSink(observer)
        )
    }

    /// Runs an operation, unless the operation ran or is running for the same key.
    ///
    /// - Parameters:
    ///   - name: The name of the operation. The same key under two names is two requests.
    ///   - key: The owner and the name of the request. A key without components, or with an empty component, is rejected
    ///     with the reason ``DedupError/Reason/incompleteKey``. The store contains a digest of the key.
    ///   - fingerprint: The content of the request in a canonical form, or `nil` if the key alone identifies the
    ///     request. The same key with another fingerprint is rejected. Defaults to `nil`.
    ///   - isFinal: Returns whether duplicates may receive a result. A result that is not final, such as "pending", is
    ///     returned to this caller only, and the next call runs. Defaults to `true` for every result.
    ///   - operation: The work, which keeps the isolation of the caller.
    /// - Returns: The value of the operation, from this run or from the first run.
    /// - Throws: ``DedupError`` if the operation does not run. `CancellationError` if the task is cancelled before the
    ///   operation runs. Otherwise the error of the operation.
    nonisolated(nonsending) public func run<Value: DedupValue>(
        _ name: DedupOperation,
        _ key: CompositeKey,
        fingerprint: [UInt8]? = nil,
        isFinal: (Value) -> Bool = { _ in true },
        operation: nonisolated(nonsending) (DedupClaim) async throws -> Value
    ) async throws -> DedupResult<Value> {
        let request = DedupRequest(name, key)
        let storeKey = key.storeKey(in: keyspace, name)
        switch try await engine.claim(request, storeKey, fingerprint) {
        case .replay(let bytes):
            let value: Value
            do { value = try Value(dedupBytes: bytes) } catch {
                throw engine.rejection(request, .unreadable, underlyingError: error)
            }
            engine.events.emit(.replayed(request))
            return DedupResult(value: value, isReplay: true, isStored: true)
        case .unprotected(let error):
            engine.events.emit(.ranUnprotected(request, error))
            let value = try await operation(DedupClaim(token: nil, isTakeover: false, key: storeKey))
            return DedupResult(value: value, isReplay: false, isStored: false)
        case .owned(let claim):
            let value: Value
            do {
                value = try await operation(
                    DedupClaim(token: claim.token, isTakeover: claim.isTakeover, key: claim.key)
                )
            } catch {
                await engine.release(claim)
                throw error
            }
            guard isFinal(value) else {
                await engine.release(claim)
                return DedupResult(value: value, isReplay: false, isStored: false)
            }
            let isStored = await engine.complete(claim, with: value.dedupBytes)
            return DedupResult(value: value, isReplay: false, isStored: isStored)
        }
    }
}

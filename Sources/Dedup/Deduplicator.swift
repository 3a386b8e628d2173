internal import ReliabilityCore
public import ReliabilityStore

/// Runs an operation once for each key, however often it is asked for.
///
/// ```swift
/// let dedup = Deduplicator(.replay(retention: .seconds(72 * 3600)), store: store)
/// let (order, fingerprint) = try Validator().parse(body) { json in (try Order(json), json.canonicalBytes()) }
/// let receipt = try await dedup.run("charge", [customerID, idempotencyKey], fingerprint: fingerprint) { claim in
///     // A takeover: an earlier run ended without a word, and may have charged. The provider knows the key.
///     try await charge(order, key: idempotencyKey, lookUpFirst: claim.isTakeover)
/// }
/// ```
///
/// The fingerprint is the request's content in a form that is the same for the same request, such as the canonical bytes
/// of parsed JSON (RFC 8785, `JSONReader.canonicalBytes()`). The bytes of the body as it came are not: encoders change the
/// order of members, and a retry is then rejected as a mismatch.
///
/// Of many calls with one key, one claims it in one atomic step and runs. A duplicate is rejected while the first runs,
/// and gets the first result, or a rejection, once it is done. The same key with another fingerprint is rejected in every
/// case. A failure is not kept: an operation that throws, is cancelled, or returns what `isFinal` denies, gives up its
/// claim, and the next call runs. An operation that may have had an effect before it threw must find that out on its next
/// run, from a record of its own or because the effect is keyed too.
///
/// A result is written until the store has it. While the store is down or full, the caller waits no longer than for any
/// other call to it, and the deduplicator continues. Where the store has no room for a result, it keeps that the
/// operation ran: duplicates get an error, and the operation does not run again.
///
/// A claim that is never settled, because its process died, is taken over: in a store with one owner by the first call
/// after the store is opened again, in a store of several processes when the claim's lease has ended. The operation then
/// runs again, and ``DedupClaim/isTakeover`` says so. The claim is remembered for that as long as a result would be, and
/// for at least 30 days. A process that stands still for longer than the lease, or that opens its store again, does not
/// start an operation that it is running. In a store of several processes, another process may take the claim over
/// meanwhile; the first holder cannot change what the other stored then, and ``DedupClaim/fence`` carries that guarantee
/// into its own commits.
///
/// The deadline of the caller cuts every wait for the store. It does not cut the writing of a result.
public struct Deduplicator: Sendable {
    /// The answer to duplicates, the length of a lease, and the policy for a store that is down.
    public let configuration: DedupConfiguration
    let keyspace: Keyspace
    let store: GuardedStore<any KeyValueStore>
    let capabilities: StoreCapabilities
    let timeSource: TimeSource
    let keeper: LeaseKeeper
    let liveClaims: LiveClaims
    let events: EventSink<DedupEvent>

    /// Creates a deduplicator from a configuration.
    ///
    /// - Parameters:
    ///   - configuration: The answer to duplicates, the length of a lease, and the policy for a store that is down.
    ///   - keyspace: The group of the deduplicator's keys in the store. Defaults to `dedup`.
    ///   - store: The store of claims and results.
    ///   - clock: The clock of lease renewals and of the store's time limit.
    ///   - observer: Receives the events.
    public init(
        _ configuration: DedupConfiguration,
        keyspace: Keyspace = "dedup",
        store: any KeyValueStore,
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (DedupEvent) -> Void)? = nil
    ) {
        self.init(
            configuration,
            keyspace: keyspace,
            store: store,
            clock: clock,
            liveClaims: .ofThisProcess,
            observer: observer
        )
    }

    /// Creates a deduplicator that rejects calls while its store is down.
    ///
    /// - Parameters:
    ///   - mode: The answer to a duplicate of a finished call.
    ///   - keyspace: The group of the deduplicator's keys in the store. Defaults to `dedup`.
    ///   - store: The store of claims and results.
    ///   - clock: The clock of lease renewals and of the store's time limit.
    ///   - observer: Receives the events.
    /// - Precondition: The mode's duration is positive.
    public init(
        _ mode: DedupMode,
        keyspace: Keyspace = "dedup",
        store: any KeyValueStore,
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (DedupEvent) -> Void)? = nil
    ) {
        self.init(DedupConfiguration(mode), keyspace: keyspace, store: store, clock: clock, observer: observer)
    }

    init(
        _ configuration: DedupConfiguration,
        keyspace: Keyspace,
        store: any KeyValueStore,
        clock: some Clock<Duration>,
        liveClaims: LiveClaims,
        observer: (@Sendable (DedupEvent) -> Void)?
    ) {
        self.configuration = configuration
        self.keyspace = keyspace
        self.liveClaims = liveClaims
        timeSource = TimeSource(clock)
        keeper = LeaseKeeper(timeSource: timeSource)
        self.store = GuardedStore(store, timeLimit: configuration.storeFailure.timeLimit, timeSource: timeSource)
        capabilities = store.capabilities
        events = EventSink(observer)
    }

    /// Runs `operation`, unless it ran or runs for the same key.
    ///
    /// - Parameters:
    ///   - name: The operation's name. One key under two names is two requests.
    ///   - key: The request's owner and name.
    ///   - fingerprint: The request's content in a canonical form: the same key with another is rejected. `nil` if the key
    ///     says it all.
    ///   - isFinal: Whether a result may be given to duplicates. One that is not, such as "pending", is returned to
    ///     this caller only, and the next call runs.
    ///   - operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returned, now or the first time.
    /// - Throws: ``DedupError`` when it does not run; `CancellationError` when the task is cancelled before it does; what
    ///   `operation` throws.
    nonisolated(nonsending) public func run<Value: DedupValue>(
        _ name: DedupOperation,
        _ key: DedupKey,
        fingerprint: [UInt8]? = nil,
        isFinal: (Value) -> Bool = { _ in true },
        operation: nonisolated(nonsending) (DedupClaim) async throws -> Value
    ) async throws -> DedupResult<Value> {
        let request = DedupRequest(name, key)
        let storeKey = key.storeKey(in: keyspace, name)
        switch try await claim(request, storeKey, fingerprint) {
        case .replay(let bytes):
            let value: Value
            do { value = try Value(dedupBytes: bytes) } catch {
                throw refusal(request, .unreadable, underlyingError: error)
            }
            events.emit(.replayed(request))
            return DedupResult(value: value, isReplay: true, isStored: true)
        case .unprotected(let error):
            events.emit(.ranUnprotected(request, error))
            let value = try await operation(DedupClaim(token: nil, isTakeover: false, key: storeKey))
            return DedupResult(value: value, isReplay: false, isStored: false)
        case .owned(let claim):
            let value: Value
            do {
                value = try await operation(
                    DedupClaim(token: claim.token, isTakeover: claim.isTakeover, key: claim.key)
                )
            } catch {
                await release(claim)
                throw error
            }
            guard isFinal(value) else {
                await release(claim)
                return DedupResult(value: value, isReplay: false, isStored: false)
            }
            let isStored = await complete(claim, with: value.dedupBytes)
            return DedupResult(value: value, isReplay: false, isStored: isStored)
        }
    }

    func refusal(
        _ request: DedupRequest,
        _ reason: DedupError.Reason,
        underlyingError: (any Error)? = nil
    ) -> DedupError {
        let error = DedupError(reason, underlyingError: underlyingError)
        events.emit(.refused(request, error))
        return error
    }

    func commit(_ write: StoreWrite) async throws(StoreError) -> CommitResult {
        try await store.write { store throws(StoreError) in try await store.commit([write]) }
    }
}

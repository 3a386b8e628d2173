internal import ReliabilityCore
public import ReliabilityStore

/// Runs an operation once for each key, however often it is asked for.
///
/// ```swift
/// let dedup = Deduplicator(.replay(retention: .seconds(86_400)), keyspace: "charges", store: store)
/// let receipt = try await dedup.run([customerID, idempotencyKey], fingerprint: body) { _ in
///     try await charge(order)
/// }
/// ```
///
/// Of many calls with one key, one claims it in one atomic step and runs. A duplicate is refused while the first runs,
/// and gets the first result, or a refusal, once it is done. The same key with another fingerprint is refused in every
/// case. What fails is not kept: an operation that throws, is cancelled, or returns what `isFinal` denies, gives up its
/// claim, and the next call runs. An operation that may have had an effect before it threw must know so by itself on its
/// next run, from a record of its own or because the effect is keyed too.
///
/// A claim ends with its lease, so a caller that dies blocks its key for no longer; in a store with one owner, the next
/// owner takes it over at once. A caller that is alive renews it. One that stood still for longer than the lease cannot
/// change what its successor stored, and ``DedupClaim/fence`` carries the same guarantee into its own commits.
public struct Deduplicator: Sendable {
    /// What a duplicate gets, and how a claim is held.
    public let configuration: DedupConfiguration
    private let keyspace: Keyspace
    private let store: GuardedStore<any KeyValueStore>
    private let capabilities: StoreCapabilities
    private let timeSource: TimeSource
    private let keeper: LeaseKeeper
    private let events: EventSink<DedupEvent>

    /// Creates a deduplicator from a configuration.
    ///
    /// - Parameters:
    ///   - configuration: What a duplicate gets, and how a claim is held.
    ///   - keyspace: Separates its keys from other uses of the store.
    ///   - store: Where claims and results are.
    ///   - clock: Measures when to renew a lease, and the time limit of store calls.
    ///   - observer: Is told what happens.
    public init(
        _ configuration: DedupConfiguration,
        keyspace: Keyspace,
        store: any KeyValueStore,
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (DedupEvent) -> Void)? = nil
    ) {
        self.configuration = configuration
        self.keyspace = keyspace
        timeSource = TimeSource(clock)
        keeper = LeaseKeeper(timeSource: timeSource)
        self.store = GuardedStore(store, timeLimit: configuration.storeFailure.timeLimit, timeSource: timeSource)
        capabilities = store.capabilities
        events = EventSink(observer)
    }

    /// Creates a deduplicator that refuses to run while its store is down.
    ///
    /// - Parameters:
    ///   - mode: What a duplicate of a finished call gets.
    ///   - keyspace: Separates its keys from other uses of the store.
    ///   - store: Where claims and results are.
    /// - Precondition: The mode's duration is positive.
    public init(_ mode: DedupMode, keyspace: Keyspace, store: any KeyValueStore) {
        self.init(DedupConfiguration(mode), keyspace: keyspace, store: store)
    }

    /// Runs `operation`, unless it ran or runs for the same key.
    ///
    /// - Parameters:
    ///   - key: Whose request it is, and its name.
    ///   - fingerprint: The request's content: the same key with another is refused. Nil when the key says it all.
    ///   - isFinal: Whether a result may be given to duplicates. One that is not, such as "pending", is returned to
    ///     this caller only, and the next call runs.
    ///   - operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returned, now or the first time.
    /// - Throws: ``DedupError`` when it does not run; `CancellationError` when the task is cancelled before it does; what
    ///   `operation` throws.
    nonisolated(nonsending) public func run<Value: DedupValue>(
        _ key: DedupKey,
        fingerprint: [UInt8]? = nil,
        isFinal: (Value) -> Bool = { _ in true },
        operation: nonisolated(nonsending) (DedupClaim) async throws -> Value
    ) async throws -> DedupResult<Value> {
        let storeKey = key.storeKey(in: keyspace)
        switch try await claim(key, storeKey, fingerprint) {
        case .replay(let bytes):
            let value: Value
            do { value = try Value(dedupBytes: bytes) } catch {
                throw refusal(.unreadable, underlyingError: error)
            }
            events.emit(.replayed)
            return DedupResult(value: value, isReplay: true, isStored: true)
        case .unprotected(let error):
            events.emit(.ranUnprotected(error))
            let value = try await operation(DedupClaim(token: nil, isTakeover: false, key: storeKey))
            return DedupResult(value: value, isReplay: false, isStored: false)
        case .owned(let held):
            let renewal = renew(held)
            let value: Value
            do {
                value = try await operation(DedupClaim(token: held.token, isTakeover: held.isTakeover, key: held.key))
            } catch {
                renewal.cancel()
                await release(held)
                throw error
            }
            renewal.cancel()
            guard isFinal(value) else {
                await release(held)
                return DedupResult(value: value, isReplay: false, isStored: false)
            }
            let isStored = await complete(held, with: value.dedupBytes)
            return DedupResult(value: value, isReplay: false, isStored: isStored)
        }
    }

    // MARK: Claiming

    /// A claim that this caller holds.
    private struct Held: Sendable {
        let key: StoreKey
        let record: DedupRecord
        let token: StoreVersion
        let isTakeover: Bool
    }

    private enum Admission: Sendable {
        case owned(Held)
        case replay([UInt8])
        case unprotected(StoreError)
    }

    nonisolated(nonsending) private func claim(
        _ key: DedupKey,
        _ storeKey: StoreKey,
        _ fingerprint: [UInt8]?
    ) async throws -> Admission {
        if key.isIncomplete { throw refusal(.incompleteKey) }
        let digest = fingerprint.map(SHA256.digest)
        let record = DedupRecord(state: .inProgress, nonce: DedupRecord.newNonce(), digest: digest)
        var attempt = ClaimAttempt(record: record, mode: configuration.mode, openedAt: capabilities.openedAt)
        var action = attempt.first
        var failure = StoreError(.unavailable, "a claim kept changing hands")
        while true {
            switch action {
            case .put(let condition):
                let write = StoreWrite.put(storeKey, record.bytes, .after(configuration.lease), if: condition)
                do throws(StoreError) {
                    switch try await commit(write) {
                    case .committed(let versions):
                        guard let token = versions.first.flatMap({ $0 }) else {
                            throw StoreError(.failed, "the store returned no version for a put")
                        }
                        action = attempt.committed(token)
                    case .conflict(_, let current): action = attempt.conflicted(with: current)
                    }
                } catch {
                    failure = error
                    action = attempt.failed(error)
                }
            case .own(let token, let isTakeover):
                let held = Held(key: storeKey, record: record, token: token, isTakeover: isTakeover)
                if Task.isCancelled {
                    await release(held)
                    throw CancellationError()
                }
                if isTakeover { events.emit(.tookOver) }
                return .owned(held)
            case .replay(let bytes): return .replay(bytes)
            case .refuse(let reason): throw refusal(reason)
            case .giveUp:
                if attempt.mayHaveClaimed { await abandon(storeKey, record.nonce) }
                if Task.isCancelled || failure.reason == .cancelled { throw CancellationError() }
                switch configuration.storeFailure.action {
                case .open: return .unprotected(failure)
                case .closed: throw refusal(.storeUnavailable, underlyingError: failure)
                }
            }
        }
    }

    private func refusal(_ reason: DedupError.Reason, underlyingError: (any Error)? = nil) -> DedupError {
        let error = DedupError(reason, underlyingError: underlyingError)
        events.emit(.refused(error))
        return error
    }

    // MARK: Holding

    /// Prolongs the claim until it is cancelled or the claim is lost.
    private func renew(_ held: Held) -> Task<Void, Never> {
        startTask {
            let write = StoreWrite.touch(held.key, .after(configuration.lease), if: .version(held.token))
            while true {
                do { try await timeSource.sleep(for: max(configuration.lease / 3, .milliseconds(1))) } catch { return }
                // A store that is down now may be back at the next turn, and the lease not over yet.
                guard let result = try? await commit(write) else { continue }
                if case .conflict = result { return }
            }
        }
    }

    // MARK: Settling

    /// Keeps the result; returns whether duplicates are recognised by now.
    private func complete(_ held: Held, with result: [UInt8]) async -> Bool {
        var done = held.record
        done.state = .doneWithoutResult
        var expiry = Expiry.never
        var tooLarge: StoreError?
        switch configuration.mode {
        case .refuse(let window): expiry = .after(window)
        case .replay(let retention):
            if let retention { expiry = .after(retention) }
            done.state = .done
            done.result = result
            let (size, limit) = (done.bytes.count, capabilities.maximumValueBytes)
            if size > limit, let mark = done.mark {
                // It ran: that much is kept, so that it does not run again.
                tooLarge = StoreError(.invalid, "a result of \(size) bytes, of at most \(limit)")
                done = mark
            }
        }
        let attempt = SettleAttempt(token: held.token, record: done, expiry: expiry)
        let end = await settle(held.key, attempt) { [self, done, expiry, tooLarge] end in
            switch end {
            case .success(.settled): events.emit(tooLarge.map { .resultNotKept($0) } ?? .executed)
            case .success(.marked(let version, let error)): complete(held.key, done, expiry, over: version, error)
            case .success(.lost): events.emit(.lostOwnership)
            case .failure(let error): events.emit(.notStored(error))
            }
        }
        switch end {
        case .success(.settled), .success(.marked): return true
        case .success(.lost), .failure, nil: return false
        }
    }

    /// Replaces the mark by the record for which there was no room, if there is some within a lease.
    private func complete(
        _ key: StoreKey,
        _ record: DedupRecord,
        _ expiry: Expiry,
        over mark: StoreVersion?,
        _ error: StoreError
    ) {
        guard let mark, error.reason != .invalid else { return events.emit(.resultNotKept(error)) }
        let end = timeSource.instant(after: configuration.lease)
        let attempt = SettleAttempt(token: mark, record: record, expiry: expiry, canMark: false)
        keeper.startWriting(attempt, until: end) { [self] attempt throws(StoreError) in
            try await settle(key, &attempt)
        } ended: { [events] end in
            if case .success(.settled) = end { events.emit(.executed) } else { events.emit(.resultNotKept(error)) }
        }
    }

    /// Gives the claim up.
    private func release(_ held: Held) async {
        _ = await settle(held.key, SettleAttempt(releasing: held.record, token: held.token)) { [events] end in
            switch end {
            case .success(.settled), .success(.marked): events.emit(.released)
            case .success(.lost): events.emit(.lostOwnership)
            case .failure(let error): events.emit(.notReleased(error))
            }
        }
    }

    /// Writes the end of a claim until the store has answered, and waits for that no longer than for any other call.
    private func settle(
        _ key: StoreKey,
        _ attempt: SettleAttempt,
        ended: @escaping @Sendable (Result<SettleAttempt.Answer, StoreError>) -> Void
    ) async -> Result<SettleAttempt.Answer, StoreError>? {
        let patience = configuration.storeFailure.timeLimit
        return await keeper.write(attempt, patience: patience) { [self] attempt throws(StoreError) in
            try await settle(key, &attempt)
        } ended: {
            ended($0)
        }
    }

    private func settle(
        _ key: StoreKey,
        _ attempt: inout SettleAttempt
    ) async throws(StoreError) -> SettleAttempt.Answer {
        for _ in 0..<4 {
            do throws(StoreError) {
                switch try await commit(attempt.write(key)) {
                case .committed(let versions): return attempt.committed(versions.first.flatMap { $0 })
                case .conflict(_, let current):
                    if let answer = attempt.conflicted(with: current) { return answer }
                }
            } catch {
                if !attempt.failed(error) { throw error }
            }
        }
        throw StoreError(.unavailable, "a claim kept changing")
    }

    /// Removes a claim that was written without our knowledge.
    private func abandon(_ key: StoreKey, _ nonce: [UInt8]) async {
        await startTask {
            guard let entry = try? await store.read({ store throws(StoreError) in try await store.get(key) }),
                DedupRecord(entry.value)?.nonce == nonce
            else { return }
            _ = try? await commit(.delete(key, if: .version(entry.version)))
        }.value
    }

    private func commit(_ write: StoreWrite) async throws(StoreError) -> CommitResult {
        try await store.write { store throws(StoreError) in try await store.commit([write]) }
    }
}

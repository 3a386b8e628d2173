internal import ReliabilityCore

extension LoadingCache {
    typealias Load = CacheLoad<Value>

    /// Answers a read that is no plain hit.
    @usableFromInline
    nonisolated(nonsending) func loadedValue(
        for key: Key,
        _ freshness: CacheRead,
        now: Int64
    ) async throws -> Value {
        var isRepeat = false
        var now = now
        let isRecursive = places.isInside { $0 as? Key == key }
        while true {
            if Task.isCancelled || Deadline.current?.isExpired == true {
                return try valueOfEndedCaller(key, freshness, now: now, isRepeat: isRepeat)
            }
            let decision = update { state in
                state.read(
                    key,
                    freshness,
                    now: now,
                    isRepeat: isRepeat,
                    isRecursive: isRecursive,
                    timeSource: timeSource
                )
            }
            switch decision {
            case .failure(let error): throw error
            case .value(let value, let background):
                // No load waits for the load in the background, so it has a place of its own.
                if let background { start(background, for: key, stale: value, inside: []) }
                return value
            case .wait(let wait):
                if wait.isNew {
                    start(wait.load, for: key, stale: wait.stale, inside: LoadPlaces.occupants)
                } else {
                    places.share(wait.load.place)
                }
                if let value = try await value(of: wait, for: key, freshness) { return value }
            }
            isRepeat = true
            now = timeSource.now
        }
    }

    /// Answers a read of a caller that is cancelled or past its deadline, without a wait.
    private func valueOfEndedCaller(
        _ key: Key,
        _ freshness: CacheRead,
        now: Int64,
        isRepeat: Bool
    ) throws -> Value {
        if !isRepeat { update { $0.reject() } }
        try Task.checkCancellation()
        return try staleValue(for: key, freshness, after: CacheError(.deadline))
    }

    /// Waits for a load.
    ///
    /// - Returns: The value, or `nil` if the value was invalidated before the read began.
    nonisolated(nonsending) private func value(
        of wait: CacheState<Key, Value>.Wait,
        for key: Key,
        _ freshness: CacheRead
    ) async throws -> Value? {
        let load = wait.load
        let end = await load.flight.wait(wait.waiter)
        if load.flight.isAbandoned { update { _ = $0.release(key, load) } }
        switch end {
        case .finished:
            switch load.result {
            case .success(let answer)?:
                return wait.isAfterTagInvalidation && answer.isTagInvalidated ? nil : answer.value
            case .failure(let error)?: return try staleValue(for: key, freshness, after: error)
            case nil: throw CancellationError()
            }
        case .cutOff:
            let error = update { _ in load.timeout } ?? CacheError(.loadTimeout)
            return try staleValue(for: key, freshness, after: error)
        case .cancelled: throw CancellationError()
        case .deadline: return try staleValue(for: key, freshness, after: CacheError(.deadline))
        case .recursive: throw CacheError(.recursiveLoad)
        }
    }

    /// Returns the stale value that answers a read after an error.
    ///
    /// - Throws: The error if there is no such value.
    private func staleValue(for key: Key, _ freshness: CacheRead, after error: any Error) throws -> Value {
        let now = timeSource.now
        // The answer of the source is right, and the stale value is not.
        guard freshness == .any, error.reliability?.category.isRequestFault != true,
            let value = update({ $0.valueAfterError(key, now: now) })
        else { throw error }
        events.emit(.servedStale(key, error))
        return value
    }

    // MARK: Loads

    /// Starts a load.
    ///
    /// - Parameters:
    ///   - load: The load.
    ///   - key: The key.
    ///   - stale: The stale value for the loader, or `nil`.
    ///   - outer: The loads that wait for this load.
    private func start(_ load: Load, for key: Key, stale: Value?, inside outer: [LoadPlaces.Occupant]) {
        let limit = timeSource.instant(after: configuration.loadTimeout)
        let timer = limit == .max ? nil : timeSource.timer(at: limit) { [self] in timeOut(load, for: key) }
        load.flight.start { [self] in
            defer { timer?.cancel() }
            let admission = await places.enter(load.place, inside: outer)
            switch admission {
            case .admitted, .shared: break
            case .rejected: return end(load, for: key, with: CacheError(.overloaded), took: 0)
            case .cancelled: return end(load, for: key, with: CancellationError(), took: 0)
            }
            defer { places.leave(load.place, admission) }
            await LoadPlaces.$occupants.withValue(outer + [places.occupant(load.place)]) {
                await run(load, for: key, stale: stale, limit: limit)
            }
        }
    }

    /// Runs the loader and stores its value.
    private func run(_ load: Load, for key: Key, stale: Value?, limit: Int64) async {
        update { $0.begin(load) }
        let scope = DeadlineScope(Deadline(instant: limit, timeSource: timeSource))
        defer { scope.add(.hasEnded) }
        await DeadlineScope.$innermost.withValue(scope) {
            let began = timeSource.now
            do {
                let loaded = try await loader(key, stale)
                end(load, for: key, with: loaded, began: began)
            } catch {
                end(load, for: key, with: error, took: timeSource.now.saturatingSubtract(began))
            }
        }
    }

    /// Ends a load with a value.
    private func end(
        _ load: Load,
        for key: Key,
        with loaded: Loaded<Value>,
        began: Int64
    ) {
        let now = timeSource.now
        let took = now.saturatingSubtract(began)
        let entry =
            loaded.isStored ? entry(of: loaded, for: key, start: load.start, began: began, took: took) : nil
        let (reason, isTagInvalidated) = update { state in
            state.succeed(key, load, with: entry, tags: loaded.tags, took: took, now: now)
        }
        events.emit(.loaded(key, took: .nanoseconds(took)))
        if let reason { events.emit(.notStored(key, reason)) }
        load.result = .success(Load.Answer(value: loaded.value, isTagInvalidated: isTagInvalidated))
    }

    /// Ends a load with an error.
    private func end(
        _ load: Load,
        for key: Key,
        with error: any Error,
        took: Int64
    ) {
        let isCancelled = Task.isCancelled
        let isAnswer = error.reliability?.category.isRequestFault == true
        let isRemembered = !isCancelled && !error.isRejection && !(error is CancellationError)
        let failure = LoadFailure(
            error: error,
            rememberedFor: isRemembered ? rememberingFailure(error) : nil,
            isAnswer: isAnswer,
            isCancelled: isCancelled
        )
        let now = timeSource.now
        update { $0.fail(key, load, with: failure, took: took, now: now) }
        events.emit(.loadFailed(key, error, took: .nanoseconds(took)))
        load.result = .failure(error)
    }

    /// Ends the wait for a load that has run or waited for too long.
    private func timeOut(_ load: Load, for key: Key) {
        let now = timeSource.now
        let error = update { $0.timeOut(key, load, now: now) }
        if load.flight.cutOff() { events.emit(.loadTimedOut(key, error)) }
    }

    // MARK: Entries

    /// Returns the entry for a value, with a lifetime from the beginning of the load.
    func entry(
        of loaded: Loaded<Value>,
        for key: Key,
        start: UInt64,
        began: Int64,
        took: Int64
    ) -> CacheEntry<Value> {
        let configuration = configuration
        let lifetime = Double((loaded.timeToLive ?? configuration.timeToLive).saturatingNanoseconds)
        // The random part only shortens, so that no value is served for longer than its lifetime.
        let part = configuration.jitter > 0 ? configuration.jitter * (1 - randomness.unit()) : 0
        let expiry = began.saturatingAdd(Self.nanoseconds(lifetime * (1 - part)))
        var refreshTime = expiry
        if case .probabilistic(let beta) = configuration.earlyRefresh, beta > 0, took > 0 {
            let early = beta * Double(took) * randomness.exponential()
            refreshTime = expiry.saturatingSubtract(Self.nanoseconds(early))
        }
        return CacheEntry(
            content: .value(loaded.value),
            start: start,
            version: loaded.version,
            cost: totalCost(of: loaded, for: key),
            refreshTime: refreshTime,
            expiry: expiry
        )
    }

    private func totalCost(of loaded: Loaded<Value>, for key: Key) -> Int {
        let tags = loaded.tags.reduce(0) { $0 + $1.utf8.count + 96 }
        let content = Int64(max(0, cost(key, loaded.value)))
        return Int(clamping: content.saturatingAdd(Int64(CacheEntries<Key, Value>.overhead + tags)))
    }

    private static func nanoseconds(_ value: Double) -> Int64 {
        value < Double(Int64.max) ? Int64(value) : .max
    }
}

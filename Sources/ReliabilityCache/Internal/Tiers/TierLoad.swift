internal import ReliabilityCore
internal import ReliabilityStore

/// A load of the memory: asks the store, and loads the source if the store has no value.
///
/// The load gives up the store at the first failure of a call to the store. A call therefore waits at most once for a
/// store that does not answer.
struct TierLoad<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    typealias Held = HeldValue<Value>

    /// The answer of the store.
    enum Answer: Sendable {
        case value(Loaded<Held>)
        case lease(TierLease<Value>)
    }

    private enum Step: Sendable {
        case leased(StoreVersion)
        /// The entry of the value has changed since its last reading.
        case value(StoreEntry?)
        /// The entry of the lease conflicts with the write.
        case lease(StoreEntry?)
    }

    private static var minWait: Duration { .milliseconds(10) }
    private static var maxWait: Duration { .milliseconds(500) }

    let tier: StoreTier<Key, Value>
    let key: Key
    let place: TierKeys.Place
    let demand: ReadDemand?
    /// The time at which the load began.
    let began: Int64

    init(_ tier: StoreTier<Key, Value>, _ key: Key, demand: ReadDemand?) {
        self.tier = tier
        self.key = key
        self.demand = demand
        place = tier.keys.place(tier.coding.key(key))
        began = tier.timeSource.now
    }

    var cache: CacheConfiguration { tier.configuration.cache }
    var isFresh: Bool { if case .fresh? = demand { true } else { false } }

    /// Returns a value for the memory.
    func run() async throws -> Loaded<Held> {
        if case .refresh(let ticket)? = demand, let ticket = ticket as? RefreshTicket<Value> {
            return try await loadSource(ticket.lease)
        }
        let answer: Answer
        do throws(StoreError) {
            if tier.state.withLock({ $0.pending.blocks(.key(place)) }) {
                throw StoreError(.unavailable, "an invalidation of the key is not confirmed")
            }
            answer = try await ask()
        } catch {
            try Task.checkCancellation()
            if tier.failureMode.action == .failClosed { throw CacheError(.storeUnavailable) }
            tier.state.withLock { $0.counters.loadsWithoutStore &+= 1 }
            return try await loadSource(nil)
        }
        switch answer {
        case .value(let loaded): return loaded
        case .lease(let lease): return try await loadSource(lease)
        }
    }

    /// Asks the store for the value or for a lease, and waits for the load of another process.
    private func ask() async throws(StoreError) -> Answer {
        var stale: StaleValue<Value>?
        // The state of the value that the last reading has found. A lease is taken only in this state.
        var found = WriteCondition.absent
        var wait = Self.minWait
        var step = try await isFresh ? claim(.any, value: .any) : claim(.absent, value: found)
        while true {
            if Task.isCancelled {
                if case .leased(let token) = step { release(TierLease(token: token, stale: nil)) }
                throw StoreError(.cancelled, "the load was cancelled")
            }
            switch step {
            case .leased(let token): return leased(TierLease(token: token, stale: stale))
            case .value(let entry):
                stale = nil
                found = entry.map { .version($0.version) } ?? .absent
                if let entry {
                    switch try await judge(entry) {
                    case .fresh(let loaded): return .value(loaded)
                    case .stale(let value): stale = value
                    case .unusable: break
                    }
                }
                step = try await claim(.absent, value: found)
            case .lease(nil): step = try await claim(.absent, value: found)
            case .lease(let lease?):
                if canTake(lease, stale: stale) {
                    step = try await claim(.version(lease.version), value: found)
                    continue
                }
                if let answer = staleAnswer(stale, during: lease) { return .value(answer) }
                if wait == Self.minWait { tier.state.withLock { $0.counters.leaseWaits &+= 1 } }
                do { try await tier.timeSource.sleep(for: min(wait, lease.remaining ?? wait)) } catch {
                    throw StoreError(.cancelled, "the load was cancelled")
                }
                wait = min(wait * 2, Self.maxWait)
                let entries = try await tier.get([place.value, place.lease])
                let present = entries[0].map { WriteCondition.version($0.version) } ?? .absent
                step = present == found ? .lease(entries[1]) : .value(entries[0])
            }
        }
    }

    /// Tries to take the lease.
    ///
    /// A value that is in another state conflicts with the write. The conflict reads the value.
    private func claim(
        _ condition: WriteCondition,
        value: WriteCondition
    ) async throws(StoreError) -> Step {
        let lease = StoreWrite.put(
            place.lease,
            LeaseRecord.loading.bytes,
            .after(tier.configuration.lease),
            if: condition
        )
        switch try await tier.commit([.check(place.value, value), lease]) {
        case .committed(let versions):
            guard let token = versions.last.flatMap({ $0 }) else {
                throw StoreError(.failed, "the store returned no version for a put")
            }
            return .leased(token)
        case .conflict(let index, let entry): return index == 0 ? .value(entry) : .lease(entry)
        }
    }

    /// Returns whether the lease of another load can be replaced.
    private func canTake(_ lease: StoreEntry, stale: StaleValue<Value>?) -> Bool {
        switch LeaseRecord(lease.value) {
        case .invalidated: return true
        // After a failed load, a value that can still be served delays the next load.
        case .failed: return !canServe(stale, within: tier.configuration.cache.longestStaleTime)
        case .loading:
            switch demand {
            case .fresh: return true
            case .after(let version): return lease.version < version
            case .refresh, nil: return false
            }
        }
    }

    // MARK: Stale values

    private func canServe(_ stale: StaleValue<Value>?, within time: Int64) -> Bool {
        guard demand == nil, let stale else { return false }
        return tier.timeSource.now.saturatingSubtract(stale.expiry) < time
    }

    /// Returns the stale value for a read during the load of another process, or `nil` if the read must wait.
    private func staleAnswer(_ stale: StaleValue<Value>?, during lease: StoreEntry) -> Loaded<Held>? {
        var time = cache.staleWhileRevalidate.saturatingNanoseconds
        if LeaseRecord(lease.value) == .failed { time = cache.longestStaleTime }
        guard let stale, canServe(stale, within: time) else { return nil }
        return answer(stale, within: time, for: lease.remaining ?? .zero, refresh: nil)
    }

    /// Returns the stale value with a load in the background, or the lease for a load in this call.
    private func leased(_ lease: TierLease<Value>) -> Answer {
        let time = cache.staleWhileRevalidate.saturatingNanoseconds
        guard let stale = lease.stale, canServe(stale, within: time) else { return .lease(lease) }
        return .value(
            answer(stale, within: time, for: tier.configuration.localTimeToLive, refresh: RefreshTicket(lease))
        )
    }

    /// Returns a stale value for the memory.
    ///
    /// - Parameters:
    ///   - stale: The value.
    ///   - time: The nanoseconds after the lifetime within which the value can be served.
    ///   - life: The time for which the memory keeps the value.
    ///   - refresh: The load in the background, or `nil`.
    /// - Returns: The value.
    func answer(
        _ stale: StaleValue<Value>,
        within time: Int64,
        for life: Duration,
        refresh: RefreshTicket<Value>?
    ) -> Loaded<Held> {
        tier.state.withLock { $0.counters.storeStaleHits &+= 1 }
        let left = stale.expiry.saturatingAdd(time).saturatingSubtract(tier.timeSource.now)
        return .value(
            Held(stale.value, start: stale.start, refresh: refresh),
            timeToLive: localLife(min(life.saturatingNanoseconds, left)),
            tags: stale.tags
        )
    }

    /// Returns a lifetime in the memory that ends some time after now.
    ///
    /// The memory measures a lifetime from the beginning of its load.
    func localLife(_ life: Int64) -> Duration {
        let left = min(life, tier.configuration.localTimeToLive.saturatingNanoseconds)
        return .nanoseconds(left.saturatingAdd(tier.timeSource.now.saturatingSubtract(began)))
    }
}

internal import ReliabilityCore

/// The entries, the running loads and the counters of a cache, which one lock protects.
///
/// A load, a put and an invalidation each have a place in one order. A load that is no longer in the table of loads
/// cannot store its value.
@usableFromInline
struct CacheState<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    typealias Load = CacheLoad<Value>

    /// The answer to a read.
    enum Decision: Sendable {
        /// A value without a wait. The owner starts the load, if there is one.
        case value(Value, background: Load?)
        /// A remembered failure, or the error of a recursive load.
        case failure(any Error)
        /// The read waits for a load.
        case wait(Wait)
    }

    /// A read that waits for a load.
    struct Wait: Sendable {
        let load: Load
        let waiter: FlightWaiter
        /// A Boolean value that indicates whether the owner must start the load.
        let isNew: Bool
        /// A Boolean value that indicates whether any tag was invalidated between the start of the load and the read.
        let isAfterTagInvalidation: Bool
        /// The stale value for the loader of a new load.
        let stale: Value?
    }

    private(set) var configuration: CacheConfiguration
    @usableFromInline var entries: CacheEntries<Key, Value>
    private var counters = CacheSnapshot()
    @usableFromInline var hits: UInt64 = 0
    private var loads: [Key: Load] = [:]
    /// The last place in the order of loads, puts and invalidations.
    private var lastPlace: UInt64 = 0

    init(_ configuration: CacheConfiguration) {
        self.configuration = configuration
        entries = CacheEntries(configuration)
    }

    var snapshot: CacheSnapshot {
        var snapshot = counters
        snapshot.hits &+= hits
        snapshot.entries = entries.count
        snapshot.cost = entries.cost
        return snapshot
    }

    /// Returns the entries that left since the last call, which the owner releases outside of its lock.
    mutating func takeDepartures() -> [CacheEntries<Key, Value>.Departure] {
        if entries.departures.isEmpty { return [] }
        for departure in entries.departures {
            if let cause = departure.cause { counters.removals[cause.rawValue] &+= 1 }
        }
        return entries.takeDepartures()
    }

    private mutating func nextPlace() -> UInt64 {
        lastPlace += 1
        return lastPlace
    }

    // MARK: Reading

    /// Returns the value of a hit that needs nothing else.
    @inlinable
    mutating func hit(_ key: Key, now: Int64) -> Value? {
        guard let value = entries.use(key, now: now) else { return nil }
        hits &+= 1
        return value
    }

    /// Returns a value that can be served without a load, and records no use.
    mutating func peek(_ key: Key, now: Int64) -> Value? {
        guard let entry = entries.entry(key, now: now, isUse: false), canServe(entry, now: now) else { return nil }
        return entry.value
    }

    /// Counts a read that ended before it joined a load.
    mutating func reject() {
        counters.misses &+= 1
        counters.rejections &+= 1
    }

    /// Answers a read.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - freshness: The freshness that the caller needs.
    ///   - now: The time.
    ///   - isRepeat: `true` if the read has already waited for a load, which counted the read.
    ///   - isRecursive: `true` if the read is part of a load of the key, and must therefore start no load of the key.
    ///   - timeSource: The clock of a new load.
    /// - Returns: The answer.
    mutating func read(
        _ key: Key,
        _ freshness: CacheRead,
        now: Int64,
        isRepeat: Bool,
        isRecursive: Bool,
        timeSource: TimeSource
    ) -> Decision {
        let entry = entries.entry(key, now: now, isUse: true)
        if freshness == .any, let entry, canServe(entry, now: now) {
            let value: Value
            switch entry.content {
            case .value(let present): value = present
            case .failure(let error):
                if !isRepeat { counters.failureHits &+= 1 }
                return .failure(error)
            }
            if !isRepeat {
                if now < entry.expiry { counters.hits &+= 1 } else { counters.staleHits &+= 1 }
            }
            let isDue = now >= entry.refreshTime && now >= entry.retryTime && loads[key]?.flight.hasEnded != false
            return .value(value, background: isDue ? startInBackground(key, timeSource) : nil)
        }
        if isRepeat { counters.repeats &+= 1 } else { counters.misses &+= 1 }
        if freshness == .any, let load = loads[key], let waiter = load.flight.join() {
            counters.joins &+= 1
            let isAfter = entries.tags.latest > load.start
            return .wait(Wait(load: load, waiter: waiter, isNew: false, isAfterTagInvalidation: isAfter, stale: nil))
        }
        if isRecursive {
            counters.rejections &+= 1
            return .failure(CacheError(.recursiveLoad))
        }
        let (flight, waiter) = Flight.joined(timeSource: timeSource)
        let load = Load(flight, start: nextPlace(), key: key)
        loads[key] = load
        counters.loads &+= 1
        return .wait(
            Wait(load: load, waiter: waiter, isNew: true, isAfterTagInvalidation: false, stale: entry?.value)
        )
    }

    /// Returns whether a read without special wishes can be answered by a present entry.
    private func canServe(_ entry: CacheEntry<Value>, now: Int64) -> Bool {
        if now < entry.expiry { return true }
        if now < entry.expiry.saturatingAdd(configuration.staleWhileRevalidate.saturatingNanoseconds) { return true }
        // After a failed load, the stale value is served without a further load.
        return now < entry.retryTime
    }

    private mutating func startInBackground(_ key: Key, _ timeSource: TimeSource) -> Load {
        let load = Load(Flight(timeSource: timeSource, isHeld: true), start: nextPlace(), key: key)
        loads[key] = load
        counters.loads &+= 1
        counters.backgroundLoads &+= 1
        return load
    }

    /// Returns the value for a read after the failure of its load.
    mutating func valueAfterError(_ key: Key, now: Int64) -> Value? {
        guard let value = entries.entry(key, now: now, isUse: false)?.value else { return nil }
        counters.staleAnswers &+= 1
        return value
    }

    // MARK: Loads

    /// Records that a load has a place.
    mutating func begin(_ load: Load) { load.hasBegun = true }

    /// Removes a load from the table unless another load has replaced it or an invalidation has removed it.
    @discardableResult
    mutating func release(_ key: Key, _ load: Load) -> Bool {
        guard loads[key] === load else { return false }
        loads[key] = nil
        return true
    }

    /// Ends a load with a value.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - load: The load.
    ///   - entry: The entry to store, or `nil` if the loader does not want the value stored.
    ///   - tags: The tags of the value.
    ///   - took: The duration of the load.
    ///   - now: The time.
    /// - Returns: The reason why the value was not stored, and whether a tag was invalidated during the load.
    mutating func succeed(
        _ key: Key,
        _ load: Load,
        with entry: CacheEntry<Value>?,
        tags: Set<String>,
        took: Int64,
        now: Int64
    ) -> (notStored: CacheNotStoredReason?, isTagInvalidated: Bool) {
        counters.successfulLoads &+= 1
        counters.loadTime += .nanoseconds(took)
        let isTagInvalidated = entries.tags.areInvalidated(tags, since: load.start)
        let isCurrent = release(key, load)
        var reason: CacheNotStoredReason?
        if let entry {
            reason = isCurrent ? entries.store(entry, for: key, tags: tags, now: now) : .invalidated
        } else {
            reason = .notWanted
        }
        if let reason { counters.notStored[reason.rawValue] &+= 1 }
        return (reason, isTagInvalidated)
    }

    /// Ends a load with an error.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - load: The load.
    ///   - failure: The failure.
    ///   - took: The duration of the load.
    ///   - now: The time.
    mutating func fail(_ key: Key, _ load: Load, with failure: LoadFailure, took: Int64, now: Int64) {
        counters.failedLoads &+= 1
        counters.loadTime += .nanoseconds(took)
        guard release(key, load), !failure.isCancelled else { return }
        if let present = entries.entry(key, now: now, isUse: false), present.value != nil {
            // A value that is fresh, or later than this load, outlives the failure.
            if now < present.expiry || present.start > load.start || !failure.isAnswer {
                delayRetry(key, now: now)
                return
            }
            // The source has answered that the stale value is no longer right.
            entries.remove(key, .replaced)
        }
        guard let time = failure.rememberedFor else { return }
        let lifetime = min(time, configuration.timeToLive).saturatingNanoseconds
        let expiry = now.saturatingAdd(lifetime)
        let entry = CacheEntry<Value>(
            content: .failure(failure.error),
            start: load.start,
            cost: CacheEntries<Key, Value>.overhead,
            refreshTime: expiry,
            expiry: expiry
        )
        _ = entries.store(entry, for: key, tags: [], now: now)
    }

    /// Removes a load that has run or waited for too long.
    ///
    /// - Returns: The error for the waiting calls.
    mutating func timeOut(_ key: Key, _ load: Load, now: Int64) -> CacheError {
        if release(key, load) { delayRetry(key, now: now) }
        let error = CacheError(load.hasBegun ? .loadTimeout : .overloaded)
        load.timeout = error
        return error
    }

    private mutating func delayRetry(_ key: Key, now: Int64) {
        entries.delayRetry(key, until: now.saturatingAdd(configuration.failureBackoff.saturatingNanoseconds))
    }

    // MARK: Writing

    /// Stores a value that was not loaded.
    mutating func put(
        _ entry: CacheEntry<Value>,
        for key: Key,
        tags: Set<String>,
        now: Int64
    ) -> CacheNotStoredReason? {
        var entry = entry
        entry.start = nextPlace()
        let reason = entries.store(entry, for: key, tags: tags, now: now)
        // A load that began earlier must not store its value, also after an eviction of this entry.
        if reason != .newerPresent { loads[key] = nil }
        return reason
    }

    mutating func invalidate(_ key: Key) {
        loads[key] = nil
        entries.remove(key, .invalidated)
    }

    mutating func invalidate(tag: String) { entries.tags.invalidate(tag, at: nextPlace()) }

    /// Removes everything.
    ///
    /// - Returns: The previous entries and loads, which the owner releases outside of its lock.
    mutating func invalidateAll() -> (CacheEntries<Key, Value>, [Key: Load]) {
        let previous = (entries, loads)
        let place = nextPlace()
        counters.removals[CacheRemovalCause.invalidated.rawValue] &+= UInt64(entries.count)
        entries = CacheEntries(configuration, tags: CacheTags(forgottenAt: place))
        loads = [:]
        return previous
    }

    mutating func reload(_ configuration: CacheConfiguration, now: Int64) {
        self.configuration = configuration
        entries.reload(configuration, now: now)
    }
}

/// A failed load.
struct LoadFailure: Sendable {
    let error: any Error
    /// The time for which the failure is remembered, or `nil`.
    let rememberedFor: Duration?
    /// A Boolean value that indicates whether the error is the source's answer to the request.
    let isAnswer: Bool
    /// A Boolean value that indicates whether the load was cancelled, so that the error is no evidence.
    let isCancelled: Bool
}

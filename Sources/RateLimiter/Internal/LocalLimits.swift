internal import ReliabilityCore
internal import ReliabilityStore

/// The limits of this process while the shared store is down, and the calls that the shared store has not counted yet.
final class LocalLimits: Sendable {
    /// The share of the limit.
    let share: Limiter.Configuration
    private let limit: Limiter.Configuration
    private let store: InMemoryStore

    /// Creates limits without any usage.
    ///
    /// - Parameters:
    ///   - share: The part of the limit, above 0 and at most 1.
    ///   - limit: The shared limit.
    ///   - memory: The limits of the memory.
    ///   - clock: The clock of the limits.
    init(
        share: Double,
        of limit: Limiter.Configuration,
        _ memory: InMemoryStore.Configuration,
        clock: some Clock<Duration>
    ) {
        self.share = limit.scaled(by: share)
        self.limit = limit
        store = InMemoryStore(memory, clock: clock)
    }

    /// Decides about a call with the share.
    ///
    /// - Throws: `StoreError` with the reason `capacityExceeded` if the memory of the limits is full.
    func decide(_ key: StoreKey, cost: Int) throws(StoreError) -> AtomicUpdate.Decision {
        try change(key) { usage, now in
            let decision = usage.decide(cost: cost, now: now)
            return (decision.isAllowed, decision)
        }
    }

    /// Removes the calls of a key that the shared store has not counted yet.
    ///
    /// - Returns: The removed calls, or `nil` if there are none.
    func takeUncharged(_ key: StoreKey) -> LocalUsage.Uncharged? {
        // The changed entry is never longer, so that there is room.
        let calls = try? change(key) { usage, now in
            let calls = usage.takeUncharged(now: now)
            return (calls != nil, calls)
        }
        return calls ?? nil
    }

    /// Adds removed calls again, or drops the calls if there is no room.
    func restore(_ calls: LocalUsage.Uncharged, _ key: StoreKey) {
        try? change(key) { usage, now in
            usage.restore(calls, now: now)
            return (true, ())
        }
    }

    private func change<Result: Sendable>(
        _ key: StoreKey,
        _ body: (_ usage: inout LocalUsage, _ now: Int64) -> (isChanged: Bool, result: Result)
    ) throws(StoreError) -> Result {
        try store.change(key) { value, now in
            var usage = LocalUsage(value, share: share, of: limit)
            let (isChanged, result) = body(&usage, now)
            return (isChanged ? usage.write(key, now: now) : nil, result)
        }
    }
}

extension Limiter.Configuration {
    /// Returns the limit with a part of its capacity and its rate.
    ///
    /// The capacity is rounded down and is at least 1. The rate is not rounded up.
    fileprivate func scaled(by share: Double) -> Self {
        // The factor makes up for the rounding of a share such as 1/49, which is not exact.
        let part = Int(exactly: (Double(capacity) * share * (1 + 0x1p-50)).rounded(.down)) ?? capacity
        let scaledCapacity = min(max(1, part), capacity)
        switch algorithm {
        case .gcra:
            let length = Int64(exactly: (Double(period.saturatingNanoseconds) / share).rounded(.up)) ?? .max
            let scaledPeriod = max(period, .nanoseconds(length))
            return .gcra(count, per: scaledPeriod, burst: scaledCapacity)
        case .fixedWindow:
            return .fixedWindow(scaledCapacity, per: period)
        }
    }
}

internal import ReliabilityCore

/// A change that a store makes to one entry in one step, by the store's own clock.
///
/// An update is data. A store can therefore run the update next to the entry: under a lock, in a script or in SQL. The
/// set of updates is closed. ``apply(to:now:)`` is the definition for every implementation.
///
/// An expiry, interval or length below one nanosecond counts as one nanosecond. A burst below 1 counts as 1, and a
/// negative cost counts as 0.
public enum AtomicUpdate: Hashable, Sendable {
    /// Adds to a counter.
    ///
    /// The update is denied if the sum would be outside of `within`. The counter expires `expiry` after the update that
    /// created the counter.
    case add(Int64, within: ClosedRange<Int64>, expiry: Duration)

    /// The generic cell rate algorithm (ITU-T I.371).
    ///
    /// The update allows a cost of `burst` immediately and then a cost of 1 in each `interval`.
    case gcra(interval: Duration, burst: Int, cost: Int)

    /// A window that opens with the first allowed update and ends `length` later.
    ///
    /// The window allows updates up to a total cost of `limit`.
    case fixedWindow(length: Duration, limit: Int, cost: Int)

    /// The decision of an update.
    public struct Decision: Hashable, Sendable {
        /// A Boolean value that indicates whether the update is allowed.
        public let isAllowed: Bool
        /// The cost that is still allowed now, or the counter's value for `add`.
        public let remaining: Int64
        /// The time until the same update would be allowed, or `nil` if the update is allowed now or can never be
        /// allowed.
        public let retryAfter: Duration?
        /// The time until the entry equals an entry that was never used.
        public let resetAfter: Duration

        /// Creates a decision.
        public init(isAllowed: Bool, remaining: Int64, retryAfter: Duration?, resetAfter: Duration) {
            self.isAllowed = isAllowed
            self.remaining = remaining
            self.retryAfter = retryAfter
            self.resetAfter = resetAfter
        }
    }

    /// The effect of an update on an entry.
    public struct Application: Hashable, Sendable {
        /// The decision.
        public let decision: Decision
        /// The new value, or `nil` if nothing changes.
        ///
        /// A denied update has a new value only if the update shortens state from the far future.
        public let value: [UInt8]?
        /// The life of the new value, always positive and finite.
        public let expiresAfter: Duration
    }

    /// Computes the decision and the new value for an entry's value, without side effects.
    ///
    /// A value that this update cannot have written counts as absent. A clock that was once wrong leaves state from the
    /// far future. Such state is shortened to the longest life that this update could have written. A denied update
    /// shortens such state as well. A wrong clock therefore locks no key forever. Nothing is granted twice. All
    /// arithmetic saturates towards denial.
    ///
    /// - Parameters:
    ///   - state: The entry's value, or `nil` if there is no entry.
    ///   - now: The time of the store's clock, in nanoseconds since 1970.
    /// - Returns: The decision and the new value.
    public func apply(to state: [UInt8]?, now: Int64) -> Application {
        let effect = effect(on: state.flatMap { $0.withKeyBytes(counter) }, now: now)
        let value = effect.counter?.value(tag: tag)
        return Application(decision: effect.decision, value: value, expiresAfter: effect.expiresAfter)
    }

    /// Computes the decision and the new state, as ``apply(to:now:)`` does without arrays.
    func effect(on state: Counter?, now: Int64) -> Effect {
        switch self {
        case .add(let amount, let range, let expiry):
            Self.applyAdd(amount, range, expiry.saturatingNanoseconds, state, now)
        case .gcra(let interval, let burst, let cost):
            Self.applyGCRA(interval.saturatingNanoseconds, Int64(burst), Int64(cost), state, now)
        case .fixedWindow(let length, let limit, let cost):
            Self.applyFixedWindow(length.saturatingNanoseconds, Int64(limit), Int64(cost), state, now)
        }
    }

    private static func applyAdd(
        _ amount: Int64,
        _ range: ClosedRange<Int64>,
        _ expiry: Int64,
        _ state: Counter?,
        _ now: Int64
    ) -> Effect {
        var end = now.saturatingAdd(max(1, expiry))
        var count: Int64 = 0
        var repaired: Counter?
        if let state, state.end > now {
            let (stored, storedEnd) = (state.count, state.end)
            count = stored
            if storedEnd > end { repaired = Counter(count: stored, end: end) }
            end = min(storedEnd, end)
        }
        let left = Duration.nanoseconds(max(1, end.saturatingSubtract(now)))
        let (sum, overflow) = count.addingReportingOverflow(amount)
        guard !overflow, range.contains(sum) else {
            // An expired counter begins at zero. An amount outside of the range even then can never be allowed.
            let wait = range.contains(amount) ? left : nil
            let denied = Decision(isAllowed: false, remaining: count, retryAfter: wait, resetAfter: left)
            return Effect(decision: denied, counter: repaired, expiresAfter: left)
        }
        return Effect(
            decision: Decision(isAllowed: true, remaining: sum, retryAfter: nil, resetAfter: left),
            counter: Counter(count: sum, end: end),
            expiresAfter: left
        )
    }

    private static func applyGCRA(
        _ interval: Int64,
        _ burst: Int64,
        _ cost: Int64,
        _ state: Counter?,
        _ now: Int64
    ) -> Effect {
        let interval = max(1, interval)
        let burst = max(1, burst)
        let cost = max(0, cost)
        // A capacity beyond the range of the clock is not granted.
        let capacity = min(interval.saturatingMultiply(burst), Int64.max.saturatingSubtract(now))
        // The theoretical arrival time of the algorithm: the instant at which the full burst is allowed again.
        var arrival = now
        var repaired: Counter?
        if let stored = state?.end {
            arrival = min(max(stored, now), now.saturatingAdd(capacity))
            if stored > arrival { repaired = Counter(count: 0, end: arrival) }
        }
        let used = arrival.saturatingSubtract(now)
        func decision(allowed: Bool, used: Int64, wait: Int64?) -> Decision {
            Decision(
                isAllowed: allowed,
                remaining: max(0, (capacity - used) / interval),
                retryAfter: wait.map { .nanoseconds($0) },
                resetAfter: .nanoseconds(used)
            )
        }
        let (need, isTooMuch) = interval.multipliedReportingOverflow(by: cost)
        let free = capacity - used
        guard !isTooMuch, need <= free else {
            let wait = isTooMuch || need > capacity ? nil : need - free
            let denied = decision(allowed: false, used: used, wait: wait)
            return Effect(decision: denied, counter: repaired, expiresAfter: .nanoseconds(max(1, used)))
        }
        let usedAfter = used + need
        return Effect(
            decision: decision(allowed: true, used: usedAfter, wait: nil),
            counter: Counter(count: 0, end: now.saturatingAdd(usedAfter)),
            expiresAfter: .nanoseconds(max(1, usedAfter))
        )
    }

    private static func applyFixedWindow(
        _ length: Int64,
        _ limit: Int64,
        _ cost: Int64,
        _ state: Counter?,
        _ now: Int64
    ) -> Effect {
        let cost = max(0, cost)
        var end = now.saturatingAdd(max(1, length))
        var count: Int64 = 0
        var repaired: Counter?
        if let state, state.end > now {
            let (stored, storedEnd) = (state.count, state.end)
            count = max(0, stored)
            if storedEnd > end { repaired = Counter(count: count, end: end) }
            end = min(storedEnd, end)
        }
        let left = Duration.nanoseconds(max(1, end.saturatingSubtract(now)))
        let (sum, overflow) = count.addingReportingOverflow(cost)
        guard !overflow, sum <= limit else {
            let denied = Decision(
                isAllowed: false,
                remaining: max(0, limit.saturatingSubtract(count)),
                retryAfter: cost > limit ? nil : left,
                resetAfter: left
            )
            return Effect(decision: denied, counter: repaired, expiresAfter: left)
        }
        return Effect(
            decision: Decision(isAllowed: true, remaining: limit - sum, retryAfter: nil, resetAfter: left),
            counter: Counter(count: sum, end: end),
            expiresAfter: left
        )
    }
}

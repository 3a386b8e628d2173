internal import ReliabilityCore

/// A change that a store makes to one entry in one step, on its own clock.
///
/// The set is closed and each update is data, so that a store can run it where the data is: under its lock, in a
/// script, in SQL. ``apply(to:now:)`` is the definition that every implementation must agree with.
public enum AtomicUpdate: Hashable, Sendable {
    /// Adds to a counter; denied when the sum would leave `within`.
    ///
    /// The counter ends `expiry` after the update that created it.
    case add(Int64, within: ClosedRange<Int64>, expiry: Duration)

    /// The generic cell rate algorithm (ITU-T I.371): `burst` at once, then one more each `interval`.
    case gcra(interval: Duration, burst: Int, cost: Int)

    /// A window that opens with its first hit and admits up to `limit` until it ends `length` later.
    case fixedWindow(length: Duration, limit: Int, cost: Int)

    /// What an update decided.
    public struct Decision: Hashable, Sendable {
        /// Whether the update was made.
        public let isAllowed: Bool
        /// How much more would be allowed now; for `add`, the counter's value.
        public let remaining: Int64
        /// How long until the same update would be allowed; nil when it is allowed, or never will be.
        public let retryAfter: Duration?
        /// How long until the entry is as if it had never been used.
        public let resetAfter: Duration

        /// Creates a decision.
        public init(isAllowed: Bool, remaining: Int64, retryAfter: Duration?, resetAfter: Duration) {
            self.isAllowed = isAllowed
            self.remaining = remaining
            self.retryAfter = retryAfter
            self.resetAfter = resetAfter
        }
    }

    /// What an update does to an entry.
    public struct Application: Hashable, Sendable {
        /// What it decided.
        public let decision: Decision
        /// The new value; nil when nothing changes.
        ///
        /// A denied update has one only to mend state from the far future.
        public let value: [UInt8]?
        /// How long the new value lives: always positive, always finite.
        public let expiresAfter: Duration
    }

    /// Applies the update to an entry's value, without effects.
    ///
    /// A value that this update cannot have written counts as absent, and state from the far future (a clock that was
    /// wrong once) is cut to the longest that could be legitimate, also by an update that is denied: so nothing locks a
    /// key for ever, and nothing is granted twice. All arithmetic saturates on the side of denial.
    ///
    /// - Parameters:
    ///   - state: The entry's value; nil when there is none.
    ///   - now: The store's clock, in nanoseconds since 1970.
    /// - Returns: The decision, and the new value.
    public func apply(to state: [UInt8]?, now: Int64) -> Application {
        switch self {
        case .add(let amount, let range, let expiry):
            Self.applyAdd(amount, range, expiry.saturatingNanoseconds, state, now)
        case .gcra(let interval, let burst, let cost):
            Self.applyGCRA(interval.saturatingNanoseconds, Int64(burst), Int64(cost), state, now)
        case .fixedWindow(let length, let limit, let cost):
            Self.applyFixedWindow(length.saturatingNanoseconds, Int64(limit), Int64(cost), state, now)
        }
    }

    // State is a tag, then two big-endian 64-bit integers: what is counted, and an instant in Unix nanoseconds.

    private static func applyAdd(
        _ amount: Int64,
        _ range: ClosedRange<Int64>,
        _ expiry: Int64,
        _ state: [UInt8]?,
        _ now: Int64
    ) -> Application {
        var end = now.saturatingAdd(max(1, expiry))
        var count: Int64 = 0
        var mended: [UInt8]?
        if let (stored, storedEnd) = decode(state, tag: 0x01), storedEnd > now {
            count = stored
            if storedEnd > end { mended = encode(tag: 0x01, stored, end) }
            end = min(storedEnd, end)
        }
        let left = Duration.nanoseconds(max(1, end.saturatingSubtract(now)))
        let (sum, overflow) = count.addingReportingOverflow(amount)
        guard !overflow, range.contains(sum) else {
            // The counter begins again at zero: an amount that does not fit there never will.
            let wait = range.contains(amount) ? left : nil
            let denied = Decision(isAllowed: false, remaining: count, retryAfter: wait, resetAfter: left)
            return Application(decision: denied, value: mended, expiresAfter: left)
        }
        return Application(
            decision: Decision(isAllowed: true, remaining: sum, retryAfter: nil, resetAfter: left),
            value: encode(tag: 0x01, sum, end),
            expiresAfter: left
        )
    }

    private static func applyGCRA(
        _ interval: Int64,
        _ burst: Int64,
        _ cost: Int64,
        _ state: [UInt8]?,
        _ now: Int64
    ) -> Application {
        let interval = max(1, interval)
        let burst = max(1, burst)
        let cost = max(0, cost)
        // What the clock cannot express is not granted.
        let capacity = min(interval.saturatingMultiply(burst), Int64.max.saturatingSubtract(now))
        // The theoretical arrival time: when the bucket would be full again.
        var arrival = now
        var mended: [UInt8]?
        if let (_, stored) = decode(state, tag: 0x02) {
            arrival = min(max(stored, now), now.saturatingAdd(capacity))
            if stored > arrival { mended = encode(tag: 0x02, 0, arrival) }
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
            return Application(decision: denied, value: mended, expiresAfter: .nanoseconds(max(1, used)))
        }
        let usedAfter = used + need
        return Application(
            decision: decision(allowed: true, used: usedAfter, wait: nil),
            value: encode(tag: 0x02, 0, now.saturatingAdd(usedAfter)),
            expiresAfter: .nanoseconds(max(1, usedAfter))
        )
    }

    private static func applyFixedWindow(
        _ length: Int64,
        _ limit: Int64,
        _ cost: Int64,
        _ state: [UInt8]?,
        _ now: Int64
    ) -> Application {
        let cost = max(0, cost)
        var end = now.saturatingAdd(max(1, length))
        var count: Int64 = 0
        var mended: [UInt8]?
        if let (stored, storedEnd) = decode(state, tag: 0x03), storedEnd > now {
            count = max(0, stored)
            if storedEnd > end { mended = encode(tag: 0x03, count, end) }
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
            return Application(decision: denied, value: mended, expiresAfter: left)
        }
        return Application(
            decision: Decision(isAllowed: true, remaining: limit - sum, retryAfter: nil, resetAfter: left),
            value: encode(tag: 0x03, sum, end),
            expiresAfter: left
        )
    }

    private static func encode(tag: UInt8, _ first: Int64, _ second: Int64) -> [UInt8] {
        var bytes: [UInt8] = [tag]
        bytes.reserveCapacity(17)
        for number in [first, second] {
            let bits = UInt64(bitPattern: number)
            for shift in stride(from: UInt64(56), through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: bits >> shift))
            }
        }
        return bytes
    }

    private static func decode(_ state: [UInt8]?, tag: UInt8) -> (Int64, Int64)? {
        guard let state, state.count == 17, state[0] == tag else { return nil }
        func number(at start: Int) -> Int64 {
            Int64(bitPattern: state[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) })
        }
        return (number(at: 1), number(at: 9))
    }
}

/// What became of a list of atomic updates.
public struct UpdateResult: Hashable, Sendable {
    /// Whether the updates were made: all of them, or none.
    public let isApplied: Bool
    /// What each update decided, for itself.
    public let decisions: [AtomicUpdate.Decision]

    /// Creates a result.
    public init(isApplied: Bool, decisions: [AtomicUpdate.Decision]) {
        self.isApplied = isApplied
        self.decisions = decisions
    }
}

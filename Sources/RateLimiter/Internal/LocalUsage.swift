internal import ReliabilityCore
internal import ReliabilityStore

/// The usage of a key that this process allowed while the shared store was down.
///
/// The usage has two counts with separate purposes. The share decides, and its count lasts across outages. The
/// uncharged calls are a count of the shared limit. They are removed when the shared store counts them.
struct LocalUsage {
    /// The calls that the shared store has not counted yet.
    struct Uncharged: Sendable {
        /// The number of calls, at most the capacity of the shared limit.
        let count: Int
        fileprivate let state: [UInt8]
    }

    private var share: Count
    private var uncharged: Count

    /// Creates the usage of an entry of the local store.
    ///
    /// - Parameters:
    ///   - value: The value of the entry, or `nil` if there is no entry.
    ///   - share: The share of the limit.
    ///   - limit: The shared limit.
    init(_ value: [UInt8]?, share: Limiter.Configuration, of limit: Limiter.Configuration) {
        let value = value ?? []
        // The first byte is the length of the share's state.
        let states = value.dropFirst()
        let length = Int(value.first ?? 0)
        self.share = Count(limit: share, state: Array(states.prefix(length)))
        uncharged = Count(limit: limit, state: Array(states.dropFirst(length)))
    }

    /// Decides with the share, and counts an allowed call as uncharged.
    mutating func decide(cost: Int, now: Int64) -> AtomicUpdate.Decision {
        let decision = share.add(cost, now: now)
        if decision.isAllowed { uncharged.addAtMost(cost, now: now) }
        return decision
    }

    /// Removes the uncharged calls.
    ///
    /// - Returns: The removed calls, or `nil` if there are none.
    mutating func takeUncharged(now: Int64) -> Uncharged? {
        let count = uncharged.used(now: now).count
        if count == 0 { return nil }
        defer { uncharged.state = [] }
        return Uncharged(count: count, state: uncharged.state)
    }

    /// Adds calls again that the shared store did not count.
    mutating func restore(_ calls: Uncharged, now: Int64) {
        if uncharged.used(now: now).count == 0 {
            // The former state is exact. A number of calls is rounded up.
            uncharged.state = calls.state
        } else {
            uncharged.addAtMost(calls.count, now: now)
        }
    }

    /// Returns the write that stores the usage until the usage expires by itself.
    func write(_ key: StoreKey, now: Int64) -> StoreWrite {
        let counts = [share.used(now: now), uncharged.used(now: now)].filter { $0.count > 0 }
        guard let life = counts.map(\.life).max() else { return .delete(key, if: .any) }
        return .put(key, [UInt8(share.state.count)] + share.state + uncharged.state, .after(life), if: .any)
    }
}

/// The count of a limit for a key.
private struct Count {
    let limit: Limiter.Configuration
    /// The state of the limit's update, which is empty if there is none.
    var state: [UInt8]

    /// Returns the number of calls in the count, and the time until the count is zero.
    func used(now: Int64) -> (count: Int, life: Duration) {
        // An update with a cost of zero reads the state.
        let decision = limit.update(cost: 0).apply(to: state, now: now).decision
        return (limit.capacity - Int(clamping: decision.remaining), decision.resetAfter)
    }

    mutating func add(_ cost: Int, now: Int64) -> AtomicUpdate.Decision {
        let application = limit.update(cost: cost).apply(to: state, now: now)
        if let value = application.value { state = value }
        return application.decision
    }

    /// Adds a cost, or the rest of the limit if the cost exceeds the rest.
    mutating func addAtMost(_ cost: Int, now: Int64) {
        let decision = add(cost, now: now)
        if !decision.isAllowed { _ = add(min(cost, Int(clamping: decision.remaining)), now: now) }
    }
}

import Synchronization

/// A store in memory as one writes it by hand: a dictionary behind a lock.
///
/// The store has versions and expiries and no limit. Expired entries stay in the dictionary.
final class HandStore: Sendable {
    struct Entry {
        var value: [UInt8]
        var version: UInt64
        /// The monotonic time of the expiry in nanoseconds, or `nil` if the entry does not expire.
        var end: Int64?

        var isExpired: Bool { end.map { $0 <= monotonicNanoseconds() } ?? false }
    }

    struct Limit {
        /// The theoretical arrival time of the generic cell rate algorithm in monotonic nanoseconds.
        var arrival: Int64
        var version: UInt64
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var limits: [String: Limit] = [:]
        var lastVersion: UInt64 = 0
    }

    private let state = Mutex(State())

    func get(_ key: String) -> Entry? {
        state.withLock { state in
            guard let entry = state.entries[key], !entry.isExpired else { return nil }
            return entry
        }
    }

    /// Puts a value if the entry has the version, or if there is no entry and the version is `nil`.
    ///
    /// - Returns: The new version, or `nil` after a conflict.
    func put(_ key: String, _ value: [UInt8], ifVersion version: UInt64?) -> UInt64? {
        state.withLock { state in
            let present = state.entries[key].flatMap { $0.isExpired ? nil : $0 }
            guard present?.version == version else { return nil }
            state.lastVersion += 1
            state.entries[key] = Entry(value: value, version: state.lastVersion, end: present?.end)
            return state.lastVersion
        }
    }

    func remove(_ key: String) {
        state.withLock { _ = $0.entries.removeValue(forKey: key) }
    }

    /// Decides on a call with a cost of 1.
    ///
    /// - Parameters:
    ///   - key: The key of the limit.
    ///   - interval: The time of a cost of 1 in nanoseconds.
    ///   - burst: The cost that is allowed immediately.
    /// - Returns: A Boolean value that indicates whether the call is allowed.
    func allow(_ key: String, interval: Int64, burst: Int64) -> Bool {
        let now = monotonicNanoseconds()
        return state.withLock { state in
            let arrival = max(state.limits[key]?.arrival ?? now, now) + interval
            guard arrival - now <= interval * burst else { return false }
            state.lastVersion += 1
            state.limits[key] = Limit(arrival: arrival, version: state.lastVersion)
            return true
        }
    }
}

public import ReliabilityCore

/// A store of bytes under keys, with versions, expiry and atomic conditional commits.
///
/// `StoreConformance` in `ReliabilityTesting` checks what is promised here. What holds for every call:
///
/// - Calls take effect one after the other, in an order that agrees with real time. Those that write the same keys at
///   the same time all go through.
/// - A call past a limit of ``capabilities``, one with a key twice, and one for less than one entry are refused as
///   ``StoreError/Reason/invalid``, and what a full store has no room for as ``StoreError/Reason/capacityExceeded``.
///   Nothing changes then. A full store gives up nothing; expired entries take no room.
/// - A cancelled task writes nothing: it is refused as ``StoreError/Reason/cancelled``. What it reads is there, or is
///   refused as well. A write during which the task is cancelled is told as it was, or as
///   ``StoreError/Reason/unknownOutcome``.
/// - A store never tries a write again by itself and takes its own first attempt for another's.
public protocol KeyValueStore: Sendable {
    /// What the store can do.
    var capabilities: StoreCapabilities { get }

    /// Reads entries, all at one moment.
    ///
    /// - Parameter keys: The keys, however many; one may appear more than once.
    /// - Returns: An entry for each key, nil where there is none or it has expired.
    /// - Throws: ``StoreError``.
    func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?]

    /// Makes all writes in one step, or none.
    ///
    /// Every precondition is judged by the state before the commit. A key may appear once.
    ///
    /// - Parameter writes: What to write, and on what conditions.
    /// - Returns: The new versions; or the first conflict, with what is there now.
    /// - Throws: ``StoreError``.
    func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult

    /// Makes all updates in one step, or none: if one is denied, nothing changes.
    ///
    /// But for this: a value from the far future is replaced, as ``AtomicUpdate/apply(to:now:)`` says, also by an update
    /// that is denied.
    ///
    /// - Parameter updates: The updates, at most as many as a commit may have writes; a key may appear once.
    /// - Returns: What was decided.
    /// - Throws: ``StoreError``.
    func update(_ updates: [(key: StoreKey, update: AtomicUpdate)]) async throws(StoreError) -> UpdateResult

    /// Reads entries in the order of their keys.
    ///
    /// An entry that does not change during a whole scan appears exactly once. A page may hold less than `limit`; only
    /// where its `next` is nil has the scan ended.
    ///
    /// - Parameters:
    ///   - prefix: Keys that begin with these components.
    ///   - after: Where the last page ended: any key, also one that is not there.
    ///   - limit: The most entries to return; at least 1.
    /// - Returns: A page.
    /// - Throws: ``StoreError``.
    func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage
}

extension KeyValueStore {
    /// Reads one entry.
    ///
    /// - Parameter key: The key.
    /// - Returns: The entry, or nil where there is none.
    /// - Throws: ``StoreError``.
    public func get(_ key: StoreKey) async throws(StoreError) -> StoreEntry? {
        let entries: [StoreEntry?] = try await get([key])
        return entries.first.flatMap { $0 }
    }

    /// Reads an entry, computes its successor, and writes it; and begins again where another write came in between.
    ///
    /// Every further attempt means that another write of the key succeeded, so many tasks that modify one key all get
    /// their turn. It gives up when the task is cancelled or its deadline has passed. For counters and rates under
    /// contention, ``update(_:)`` needs one attempt.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - expiry: When the new entry ends.
    ///   - attempts: The most attempts, at least 1. Defaults to 10,000.
    ///   - transform: Computes the new value from the present one. It may run several times. `nil` deletes the entry.
    /// - Returns: The version that was written, or `nil` after a delete.
    /// - Throws: ``StoreError`` (``StoreError/Reason/unavailable`` after the last attempt, or when the deadline has
    ///   passed between two), or what `transform` throws.
    @discardableResult
    public func modify(
        _ key: StoreKey,
        expiry: Expiry,
        attempts: Int = 10_000,
        _ transform: ([UInt8]?) throws -> [UInt8]?
    ) async throws -> StoreVersion? {
        var current = try await get(key)
        for attempt in 0..<max(1, attempts) {
            if attempt > 0, Deadline.current?.isExpired == true {
                throw StoreError(.unavailable, "the deadline passed while an entry was modified (\(attempt) attempts)")
            }
            let condition = current.map { Precondition.version($0.version) } ?? .absent
            let write: StoreWrite
            if let value = try transform(current?.value) {
                write = .put(key, value, expiry, if: condition)
            } else {
                write = .delete(key, if: condition)
            }
            switch try await commit([write]) {
            case .committed(let versions): return versions.first.flatMap { $0 }
            case .conflict(_, let now): current = now
            }
        }
        throw StoreError(.unavailable, "an entry kept changing through \(attempts) attempts to modify it")
    }
}

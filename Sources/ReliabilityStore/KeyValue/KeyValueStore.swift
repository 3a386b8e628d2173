internal import ReliabilityCore

/// A store of bytes under keys, with versions, expiry and atomic conditional commits.
///
/// The protocol is a specification for authors of stores. `StoreConformance` in `ReliabilityStoreTesting` checks the
/// promises. The following holds for every call:
///
/// - Calls take effect one after the other in an order that agrees with real time. Contention alone fails no call.
///   Concurrent calls that write the same keys all complete, also if they list the keys in different orders.
/// - A call is rejected as ``StoreError/Reason/invalid`` if the call exceeds a limit of ``capabilities`` or if the
///   limit of a page is below 1. A commit or a list of updates that names a key twice is rejected in the same way.
/// - A write is rejected as ``StoreError/Reason/capacityExceeded`` if a full store has no room for the write. A full
///   store evicts nothing. Expired entries take no room.
/// - A call that throws has changed nothing, unless the reason is ``StoreError/Reason/unknownOutcome``.
/// - A cancelled task writes nothing. The write is rejected as ``StoreError/Reason/cancelled``. A read in a cancelled
///   task returns the stored content or is rejected as cancelled too.
/// - A write whose task is cancelled during the call reports its true result or ``StoreError/Reason/unknownOutcome``.
/// - A store that retries a write internally must not report its own earlier attempt as a conflict, a duplicate or a
///   stale token.
public protocol KeyValueStore: Sendable {
    /// The limits and guarantees of the store.
    var capabilities: StoreCapabilities { get }

    /// Reads entries at a single point in time.
    ///
    /// - Parameter keys: The keys, in any number. A key may appear several times.
    /// - Returns: An element for each key: the entry, or `nil` if the entry is absent or has expired.
    /// - Throws: ``StoreError``.
    func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?]

    /// Reads a single entry.
    ///
    /// A default implementation calls ``get(_:)-([StoreKey])`` with one key.
    ///
    /// - Parameter key: The key.
    /// - Returns: The entry, or `nil` if the entry is absent or has expired.
    /// - Throws: ``StoreError``.
    func get(_ key: StoreKey) async throws(StoreError) -> StoreEntry?

    /// Makes all writes in one step, or none.
    ///
    /// Every condition is evaluated on the state before the commit.
    ///
    /// - Parameter writes: The writes and their conditions, at most ``StoreCapabilities/maxWrites``. A key may appear
    ///   once.
    /// - Returns: The new versions, or the first conflict with the present entry.
    /// - Throws: ``StoreError``.
    func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult

    /// Makes a single write, with the same effect as a commit of a list with one write.
    ///
    /// A default implementation calls ``commit(_:)-([StoreWrite])`` with one write.
    ///
    /// - Parameter write: The write and its condition.
    /// - Returns: The version as in ``CommitResult/committed(_:)``, or the conflict with the present entry.
    /// - Throws: ``StoreError``.
    func commit(_ write: StoreWrite) async throws(StoreError) -> WriteResult

    /// Makes all updates in one step, or none.
    ///
    /// If one update is denied, no update is made. A denied update still shortens state from the far future, as
    /// ``AtomicUpdate/apply(to:now:)`` specifies. Each written entry gets a new version and expires after
    /// ``AtomicUpdate/Application/expiresAfter``. The store's own clock decides an update.
    ///
    /// - Parameter updates: The updates, at most ``StoreCapabilities/maxWrites``. A key may appear once.
    /// - Returns: The decisions and a Boolean value that indicates whether the updates were made.
    /// - Throws: ``StoreError``.
    func update(_ updates: [(key: StoreKey, update: AtomicUpdate)]) async throws(StoreError) -> UpdateResult

    /// Makes a single update, with the same effect as a list with one update.
    ///
    /// A denied update still shortens state from the far future, as in ``update(_:)``. A default implementation calls
    /// ``update(_:)`` with one update.
    ///
    /// - Parameters:
    ///   - key: The key of the entry.
    ///   - update: The update.
    /// - Returns: The decision. An allowed update was made.
    /// - Throws: ``StoreError``.
    func update(_ key: StoreKey, _ update: AtomicUpdate) async throws(StoreError) -> AtomicUpdate.Decision

    /// Reads entries in the order of their keys.
    ///
    /// An entry that does not change during a whole scan appears exactly once. A page may hold fewer entries than
    /// `limit`. The scan has ended only if ``StorePage/next`` is `nil`.
    ///
    /// - Parameters:
    ///   - prefix: The components with which each key begins.
    ///   - after: The key after which the page begins, or `nil` for the first page. The key may be absent.
    ///   - limit: The largest number of entries on the page, at least 1.
    /// - Returns: A page.
    /// - Throws: ``StoreError``.
    func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage
}

extension KeyValueStore {
    /// Reads a single entry through a read of several keys.
    ///
    /// - Parameter key: The key.
    /// - Returns: The entry, or `nil` if the entry is absent or has expired.
    /// - Throws: ``StoreError``.
    public func get(_ key: StoreKey) async throws(StoreError) -> StoreEntry? {
        let entries: [StoreEntry?] = try await get([key])
        return entries.first.flatMap { $0 }
    }

    /// Makes a single write through a commit of several writes.
    ///
    /// - Parameter write: The write and its condition.
    /// - Returns: The new version, or the conflict with the present entry.
    /// - Throws: ``StoreError``.
    public func commit(_ write: StoreWrite) async throws(StoreError) -> WriteResult {
        switch try await commit([write]) {
        case .committed(let versions): .committed(versions.first.flatMap { $0 })
        case .conflict(_, let current): .conflict(current)
        }
    }

    /// Makes a single update through a list of updates.
    ///
    /// - Parameters:
    ///   - key: The key of the entry.
    ///   - update: The update.
    /// - Returns: The decision. An allowed update was made.
    /// - Throws: ``StoreError``.
    public func update(_ key: StoreKey, _ update: AtomicUpdate) async throws(StoreError) -> AtomicUpdate.Decision {
        guard let decision = try await self.update([(key: key, update: update)]).decisions.first else {
            throw StoreError(.failed, "the store returned no decision")
        }
        return decision
    }

    /// Replaces an entry with a new value that a closure computes from the present value.
    ///
    /// The value is written only if the entry has not changed since the read.
    ///
    /// A conflict with another write leads to another attempt. Every further attempt means that another write of the
    /// key succeeded. Concurrent tasks that modify a key therefore all make progress. The call fails if the task is
    /// cancelled or its deadline has passed. A write with an unknown outcome is not repeated. For counters and rates
    /// under contention, ``update(_:)`` needs a single attempt.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - expiry: The expiry of the new entry.
    ///   - maxAttempts: The largest number of attempts, at least 1. Defaults to 10,000.
    ///   - transform: Computes the new value from the present value, or `nil` to delete the entry. The closure may run
    ///     several times.
    /// - Returns: The new version, or `nil` after a delete.
    /// - Throws: ``StoreError`` or the error of `transform`. The reason is ``StoreError/Reason/unavailable`` after the
    ///   last attempt or if the deadline has passed between two attempts.
    @discardableResult
    public func modify(
        _ key: StoreKey,
        expiry: Expiry,
        maxAttempts: Int = 10_000,
        _ transform: ([UInt8]?) throws -> [UInt8]?
    ) async throws -> StoreVersion? {
        var current = try await get(key)
        for attempt in 0..<max(1, maxAttempts) {
            if attempt > 0, Deadline.current?.isExpired == true {
                throw StoreError(.unavailable, "the deadline passed after \(attempt) attempts to modify an entry")
            }
            let condition = current.map { WriteCondition.version($0.version) } ?? .absent
            let write: StoreWrite
            if let value = try transform(current?.value) {
                write = .put(key, value, expiry, if: condition)
            } else {
                write = .delete(key, if: condition)
            }
            switch try await commit(write) {
            case .committed(let version): return version
            case .conflict(let now): current = now
            }
        }
        throw StoreError(.unavailable, "another write came first in all \(maxAttempts) attempts to modify an entry")
    }
}

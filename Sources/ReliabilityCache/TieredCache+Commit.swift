internal import ReliabilityCore
public import ReliabilityStore

extension TieredCache {
    /// Makes writes of the caller and the invalidation of their values in one step.
    ///
    /// The data must be in the store of the cache. No process then stores a value from before the writes, also if this
    /// process ends immediately afterwards.
    ///
    /// ```swift
    /// let row = StoreKey("rows", item)
    /// let seen = try await store.get(row)
    /// let condition = seen.map { WriteCondition.version($0.version) } ?? .absent
    /// let saved = try await shared.commit([.put(row, order.bytes, .never, if: condition)], invalidating: [item])
    /// if case .conflict = saved.result { /* another edit came first */ }
    /// ```
    ///
    /// The commit has the writes of the caller, two writes for each key and one write for each tag.
    ///
    /// - Parameters:
    ///   - writes: The writes of the caller.
    ///   - keys: The keys to invalidate.
    ///   - tags: The tags to invalidate. Defaults to no tags.
    /// - Returns: The result of the caller's writes, and the mark. After a conflict, nothing is invalidated and the mark is
    ///   not confirmed.
    /// - Throws: `StoreError`. If the outcome is unknown, the cache invalidates the keys and the tags.
    nonisolated(nonsending) public func commit(
        _ writes: [StoreWrite],
        invalidating keys: [Key],
        tags: [String] = []
    ) async throws(StoreError) -> (result: CommitResult, mark: CacheMark) {
        let tagTargets = Set(tags).map { InvalidationTarget.tag(tier.keys.tag($0)) }
        let targets = Set(keys).map(target) + tagTargets
        let result: CommitResult
        do throws(StoreError) { result = try await tier.commit(writes + tier.writes(of: targets)) } catch {
            if error.reason == .unknownOutcome {
                _ = tier.begin(targets, isFailed: true)
                invalidateMemory(keys, tags)
                tier.repeatFailedWrites()
            }
            throw error
        }
        guard case .committed(let versions) = result else { return (result, CacheMark(nil)) }
        // Loads that begin between the two steps must not trust what the process knows about the tags.
        let items = tier.begin(tagTargets)
        invalidateMemory(keys, tags)
        var mark = versions.compactMap { $0 }.max()
        if !items.isEmpty {
            // Concurrent commits of several processes can become visible in another order than that of their versions.
            // This write follows the visible data. A load that began between the two is therefore invalidated too.
            mark = await tier.write(items).version
        }
        return (.committed(Array(versions.prefix(writes.count))), CacheMark(mark))
    }

    private func invalidateMemory(_ keys: [Key], _ tags: [String]) {
        for key in keys { local.invalidate(key) }
        for tag in tags { local.invalidate(tag: tag) }
    }

    func target(_ key: Key) -> InvalidationTarget { .key(tier.keys.place(tier.coding.key(key))) }
}

internal import ReliabilityCore
internal import ReliabilityStore

extension TierLoad {
    /// Loads the source, and fills the store if this process holds the lease.
    func loadSource(_ lease: TierLease<Value>?) async throws -> Loaded<Held> {
        tier.state.withLock { $0.counters.sourceLoads &+= 1 }
        let sourceBegan = tier.timeSource.now
        let renewal = lease.map { renew($0.token) }
        let loaded: Loaded<Value>
        do {
            // A load that ignores its cancellation, for example at its time limit, must not keep the lease.
            loaded = try await withTaskCancellationHandler {
                // The loads inside of the loader have demands of their own.
                try await ReadDemand.$current.withValue(nil) { try await tier.loader(key, lease?.stale?.value) }
            } onCancel: {
                renewal?.stop()
            }
        } catch {
            renewal?.stop()
            return try await staleValue(lease, after: error)
        }
        renewal?.stop()
        let lifetime = min(loaded.timeToLive ?? cache.timeToLive, tier.configuration.maxTimeToLive)
        let took = tier.timeSource.now.saturatingSubtract(sourceBegan)
        let isStored: Bool
        if let lease, loaded.isStored {
            isStored = await fill(lease, with: loaded, lifetime: lifetime, took: took)
        } else {
            if let lease { release(lease) }
            isStored = loaded.isStored
        }
        let held = Held(loaded.value, start: lease?.token, began: sourceBegan)
        guard isStored else {
            var answer = Loaded.notStored(held)
            // A read that joined after the invalidation of a tag must not receive the value.
            answer.tags = loaded.tags
            return answer
        }
        // The lifetime in the memory begins with the load of the source too.
        let waited = Duration.nanoseconds(sourceBegan.saturatingSubtract(began))
        let local = min(lifetime, tier.configuration.localTimeToLive)
        return .value(
            held,
            timeToLive: local > .zero ? local + waited : .zero,
            tags: loaded.tags,
            version: loaded.version
        )
    }

    private func renew(_ token: StoreVersion) -> LeaseRenewal {
        let lease = tier.configuration.lease
        let write = StoreWrite.touch(place.lease, .after(lease), if: .version(token))
        return LeaseRenewal(lease, timeSource: tier.timeSource) { [tier] () throws(StoreError) in
            if case .conflict = try await tier.commit([write]) { return false }
            return true
        }
    }

    /// Writes a loaded value to the store, unless the lease was lost.
    ///
    /// - Returns: `false` if the value must not be kept in the memory either.
    private func fill(
        _ lease: TierLease<Value>,
        with loaded: Loaded<Value>,
        lifetime: Duration,
        took: Int64
    ) async -> Bool {
        if let version = loaded.version, let present = lease.stale?.version, version < present {
            release(lease)
            return false
        }
        // The random part only shortens, so that no value is served for longer than its lifetime.
        let part = cache.jitter > 0 ? cache.jitter * (1 - tier.randomness.unit()) : 0
        let jittered = Int64(Double(min(lifetime.saturatingNanoseconds, .max >> 10)) * (1 - part))
        let left = jittered.saturatingSubtract(took)
        guard left > 0 else {
            release(lease)
            return true
        }
        let record: [UInt8]
        do { record = try bytes(of: loaded, start: lease.token) } catch {
            tier.events.emit(.notShared(key, error))
            release(lease)
            return true
        }
        let life = Duration.nanoseconds(left.saturatingAdd(cache.longestStaleTime))
        do throws(StoreError) {
            let result = try await tier.commit([
                .put(place.value, record, .after(life), if: .any),
                .delete(place.lease, if: .version(lease.token)),
            ])
            if case .committed = result {
                tier.state.withLock { $0.counters.fills &+= 1 }
                return true
            }
        } catch {
            // A store that is down would not answer. Otherwise, no process waits for the end of the lease.
            if error.reason != .unavailable, error.reason != .unknownOutcome { release(lease) }
            // The memory keeps the value for the local lifetime, which bounds the age for every edit elsewhere.
            return true
        }
        // The key was invalidated or loaded by another process meanwhile, or the lease ended.
        tier.state.withLock { $0.counters.rejectedFills &+= 1 }
        tier.events.emit(.notStored(key, .invalidated))
        return false
    }

    /// Returns the record of a value, which the store accepts.
    private func bytes(of loaded: Loaded<Value>, start: StoreVersion) throws -> [UInt8] {
        let record = CacheRecord(
            start: start,
            staleTime: cache.longestStaleTime,
            version: loaded.version,
            tags: loaded.tags.sorted(),
            value: try tier.coding.encode(loaded.value)
        )
        let bytes = record.bytes(schema: tier.coding.schema, key: place.bytes)
        let limit = tier.capabilities.maxValueBytes
        if bytes.count > limit {
            throw StoreError(.invalid, "a value must have at most \(limit) bytes (has \(bytes.count))")
        }
        return bytes
    }

    /// Returns the stale value for a failed load, and delays the next load of all processes.
    ///
    /// - Throws: The error if there is no such value.
    private func staleValue(_ lease: TierLease<Value>?, after error: any Error) async throws -> Loaded<Held> {
        guard let lease else { throw error }
        let time = cache.staleIfError.saturatingNanoseconds
        let isLate = lease.stale.map { tier.timeSource.now.saturatingSubtract($0.expiry) >= cache.longestStaleTime }
        guard let stale = lease.stale, isLate == false, !Task.isCancelled else {
            release(lease)
            throw error
        }
        if error.reliability?.category.isRequestFault == true {
            // The source has answered that the stale value is no longer right.
            release(lease, writing: .delete(place.value, if: .any))
            throw error
        }
        let failed = LeaseRecord.failed.bytes
        let backoff = cache.failureBackoff
        let write = StoreWrite.put(place.lease, failed, .after(backoff), if: .version(lease.token))
        // A conflict means that the stale value was invalidated or replaced meanwhile.
        if case .conflict? = try? await tier.commit([write]) { throw error }
        guard demand == nil, tier.timeSource.now.saturatingSubtract(stale.expiry) < time else { throw error }
        tier.events.emit(.servedStale(key, error))
        return answer(stale, within: time, for: backoff, refresh: nil)
    }

    // MARK: Ends of a lease

    /// Ends the lease, so that other processes load without a wait.
    func release(_ lease: TierLease<Value>, writing write: StoreWrite? = nil) {
        let deletion = StoreWrite.delete(place.lease, if: .version(lease.token))
        let writes = [write, deletion].compactMap { $0 }
        // The load does not wait and may be cancelled. After a failure, the lease ends by itself.
        _ = startTask(on: tier.timeSource.taskExecutor) { [tier] in
            await withoutCallContext { _ = try? await tier.commit(writes) }
        }
    }
}

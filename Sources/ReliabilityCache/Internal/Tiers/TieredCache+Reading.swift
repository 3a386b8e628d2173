internal import ReliabilityCore
internal import ReliabilityStore

extension TieredCache {
    /// Answers a read with a demand.
    @usableFromInline
    nonisolated(nonsending) func demandedValue(for key: Key, _ freshness: CacheRead) async throws -> Value {
        guard case .notOlderThan(let mark) = freshness, configuration.acceptsMarks, let version = mark.version else {
            return try await ReadDemand.$current.withValue(.fresh) { try await local.value(for: key, .fresh).value }
        }
        let now = tier.timeSource.now
        // Without a copy, a load with the demand comes first. A load without it could take a lease for a stale value.
        if local.cached(key)?.isAfter(version) == true {
            let held = try await local.value(for: key)
            if let ticket = held.refresh { refresh(key, ticket) }
            if held.isAfter(version) { return held.value }
        }
        return try await ReadDemand.$current.withValue(.after(version)) {
            // The mark proves that the copy was invalidated. Readers with the same mark then share one load.
            if let copy = local.cached(key), !copy.isAfter(version) { local.invalidate(key) }
            let held = try await local.value(for: key)
            // The mark is older than the call, and therefore than a load after the call without the store.
            if held.isAfter(version) || held.began > now { return held.value }
            // The read joined an earlier load. A load of its own meets the demand.
            return try await local.value(for: key, .fresh).value
        }
    }

    /// Starts a load of a stale value in the background.
    @usableFromInline
    func refresh(_ key: Key, _ ticket: RefreshTicket<Value>) {
        guard ticket.take() else { return }
        // The load is part of no call, and of no other load.
        _ = startTask(on: tier.timeSource.taskExecutor) { [local] in
            await withoutCallContext {
                await LoadPlaces.$occupants.withValue([]) {
                    await ReadDemand.$current.withValue(.refresh(ticket)) {
                        _ = try? await local.value(for: key, .fresh)
                    }
                }
            }
        }
    }
}

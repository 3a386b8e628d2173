package import ReliabilityStore

/// Makes the call of an operation.
///
/// - Parameters:
///   - operation: The operation.
///   - store: The store.
/// - Returns: The answer of the store or the reason of its rejection.
package func perform(_ operation: WorkloadOperation, on store: some RecordStore) async -> StoreAnswer {
    do throws(StoreError) {
        switch operation {
        case .get(let keys):
            if keys.count == 1 { return .entries([try await store.get(keys[0])]) }
            return .entries(try await store.get(keys))
        case .scan(let prefix, let after, let limit):
            let page = try await store.scan(prefix, after: after, limit: limit)
            return .scanned(page.entries.map { .init($0.key, $0.entry) }, next: page.next)
        case .commit(let writes, let records):
            if !records.isEmpty { return .commit(try await store.commit(writes, enqueueing: records)) }
            if writes.count == 1 { return .commit(.init(CommitResult(try await store.commit(writes[0])))) }
            return .commit(.init(try await store.commit(writes)))
        case .update(let updates) where updates.count == 1:
            return .update(UpdateResult(try await store.update(updates[0].key, updates[0].update)))
        case .update(let updates):
            return .update(try await store.update(updates.map { ($0.key, $0.update) }))
        case .enqueue(let records):
            return .enqueued(try await store.enqueue(records))
        case .claim(let queue, let limit, let lease):
            return .claimed(try await store.claim(queue, limit: limit, lease: lease))
        case .settle(let settlements):
            return .settled(try await store.settle(settlements))
        case .nextDue(let queue):
            return .nextDue(try await store.nextDue(queue))
        case .counts(let queue):
            return .counts(try await store.counts(queue))
        case .page(let queue, let state, let after, let limit):
            return .page(try await store.page(queue, state, after: after, limit: limit))
        }
    } catch {
        return .rejected(error.reason)
    }
}

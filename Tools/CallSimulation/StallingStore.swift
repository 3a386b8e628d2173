import ReliabilityCore
import ReliabilityStore

/// A store that stalls for an interval.
///
/// A call in the interval waits for its end and ignores cancellation.
final class StallingStore: RecordStore {
    private let store: any RecordStore
    private let timeSource: TimeSource
    private let stall: Range<Int64>

    /// Creates a store that stalls while the readings of `timeSource` are in `stall`.
    init(_ store: any RecordStore, _ timeSource: TimeSource, stall: Range<Int64>) {
        self.store = store
        self.timeSource = timeSource
        self.stall = stall
    }

    var capabilities: StoreCapabilities {
        var capabilities = store.capabilities
        capabilities.canStall = true
        return capabilities
    }

    private func wait() async {
        guard stall.contains(timeSource.now) else { return }
        await withCheckedContinuation { continuation in
            _ = timeSource.timer(at: stall.upperBound) { continuation.resume() }
        }
    }

    func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        await wait()
        return try await store.get(keys)
    }

    func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        await wait()
        return try await store.commit(writes)
    }

    func update(_ updates: [(key: StoreKey, update: AtomicUpdate)]) async throws(StoreError) -> UpdateResult {
        await wait()
        return try await store.update(updates)
    }

    func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        await wait()
        return try await store.scan(prefix, after: after, limit: limit)
    }

    func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult {
        await wait()
        return try await store.commit(writes, enqueueing: records)
    }

    func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        await wait()
        return try await store.enqueue(records)
    }

    func claim(_ queue: QueueName, limit: Int, lease: Duration) async throws(StoreError) -> [RecordClaim] {
        await wait()
        return try await store.claim(queue, limit: limit, lease: lease)
    }

    func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        await wait()
        return try await store.settle(settlements)
    }

    func nextDue(_ queue: QueueName) async throws(StoreError) -> Duration? {
        await wait()
        return try await store.nextDue(queue)
    }

    func counts(_ queue: QueueName) async throws(StoreError) -> RecordCounts {
        await wait()
        return try await store.counts(queue)
    }

    func page(
        _ queue: QueueName,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage {
        await wait()
        return try await store.page(queue, state, after: after, limit: limit)
    }
}

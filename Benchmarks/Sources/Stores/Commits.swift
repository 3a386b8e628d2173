import Reliability
import Synchronization

/// Durable commits of a file store, deduplicated calls on a file store, and their baselines.
///
/// All of them run alternately, because all of them wait for the same disk.
@Sendable func measureCommits(_ directory: String, _: Int) async throws -> Stores.Figures {
    let store = try await FileStore.open(roomyAt: "\(directory)/store")
    let calls = try await FileStore.open(roomyAt: "\(directory)/calls")
    let dedup = deduplicator(calls)
    let loop = try SyncedFile(at: "\(directory)/loop")
    let group = GroupCommit(try SyncedFile(at: "\(directory)/group"))
    let table = try await SQLiteTable(at: "\(directory)/database")
    let figures = try await rates([
        commits(of: store, tasks: 1),
        Contender("loop", tasks: 1) { number in
            try loop.write(block, at: number * block.count)
            try loop.sync()
        },
        commits(of: store, tasks: 64),
        groupCommits(of: group, records: 1),
        commits(of: store, tasks: 256),
        Contender("sqlite", tasks: 64) { number in
            try await table.pool.write { try SQLiteTable.put($0, number % keys) }
        },
        Contender("dedup", tasks: 64) { try await call(dedup, $0) },
        groupCommits(of: group, records: 2),
    ])
    await store.close()
    await calls.close()
    return figures
}

private let keys = 100_000
private let block = [UInt8](repeating: 0x61, count: 512)
// A commit of the store has a similar length in the log.
private let record = [UInt8](repeating: 0x61, count: 130)

/// Commits of a single put.
private func commits(of store: FileStore, tasks: Int) -> Contender {
    let names = (0..<keys).map(Content.key)
    return Contender("tasks\(tasks)", tasks: tasks) { number in
        _ = try await store.commit(.put(names[number % keys], Content.value, .never, if: .any))
    }
}

/// Calls on 64 threads, each of which commits a number of records one after the other.
private func groupCommits(of group: GroupCommit, records: Int) -> Contender {
    Contender("group\(records)") { end in
        let calls = Counter()
        let failure = Mutex<(any Error)?>(nil)
        onThreads(64) {
            do {
                while ContinuousClock.now < end {
                    for _ in 0..<records { try group.commit(record) }
                    calls.next()
                }
            } catch {
                failure.withLock { $0 = error }
            }
        }
        if let failure = failure.withLock({ $0 }) { throw failure }
        return calls.count
    }
}

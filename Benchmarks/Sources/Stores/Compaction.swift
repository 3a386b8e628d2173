import Foundation
import Reliability
import Synchronization

/// Random overwriting of a file store from 8 tasks, with 10 puts in each commit.
///
/// The figures are the times of the commits in milliseconds, the largest size of the store's directory and the bytes of
/// the live keys and values. Another thread makes a small write and a sync every millisecond meanwhile. The times of
/// these syncs have names with the prefix `sync.`.
@Sendable func measureCompaction(_ directory: String, _ keys: Int) async throws -> Stores.Figures {
    let store = try await FileStore.open(roomyAt: "\(directory)/store")
    try await Content.fill(store, keys)
    let watch = DiskWatch(store: "\(directory)/store", file: try SyncedFile(at: "\(directory)/file"))
    let watching = Task { try await watch.run() }
    let (tasks, commits, puts) = (8, 400_000, 10)
    let latencies = try await withThrowingTaskGroup(of: Latencies.self) { group in
        for task in 0..<tasks {
            group.addTask {
                var generator = SeededGenerator(seed: task)
                var latencies = Latencies()
                for _ in 0..<commits / tasks {
                    var numbers: Set<Int> = []
                    while numbers.count < puts { numbers.insert(Int.random(in: 0..<keys, using: &generator)) }
                    let writes = numbers.map { StoreWrite.put(Content.key($0), Content.value, .never, if: .any) }
                    try await latencies.measure { _ = try await store.commit(writes) }
                }
                return latencies
            }
        }
        return try await group.reduce(into: Latencies()) { $0.append($1) }
    }
    watch.stop()
    let (syncs, largest) = try await watching.value
    await store.close()
    let mebibyte = Double(1 << 20)
    let sizes = ["disk": Double(largest) / mebibyte, "live": Double(keys * Content.entryBytes) / mebibyte]
    return latencies.figures().merging(syncs.figures(prefix: "sync.")) { first, _ in first }.merging(sizes) { $1 }
}

/// A measurement of the disk beside a store that writes.
private final class DiskWatch: Sendable {
    private let store: String
    private let file: SyncedFile
    private let isStopped = Atomic(false)

    init(store: String, file: SyncedFile) {
        self.store = store
        self.file = file
    }

    func stop() { isStopped.store(true, ordering: .relaxed) }

    /// Makes a write and a sync each millisecond until ``stop()``.
    ///
    /// - Returns: The times of the writes with their syncs, and the largest size of the store's directory.
    func run() async throws -> (Latencies, Int) {
        let result = Mutex<Result<(Latencies, Int), any Error>>(.success((Latencies(), 0)))
        await withCheckedContinuation { continuation in
            // A thread: a sync would block a thread of the tasks' pool.
            Thread.detachNewThread { [self] in
                let measured = Result { try measure() }
                result.withLock { $0 = measured }
                continuation.resume()
            }
        }
        return try result.withLock { $0 }.get()
    }

    private func measure() throws -> (Latencies, Int) {
        var (latencies, largest, count) = (Latencies(), 0, 0)
        let bytes = [UInt8](repeating: 0x61, count: 512)
        while !isStopped.load(ordering: .relaxed) {
            let start = ContinuousClock.now
            try file.write(bytes, at: count * bytes.count)
            try file.sync()
            latencies.append(ContinuousClock.now - start)
            if count % 10 == 0 { largest = max(largest, diskBytes(in: store)) }
            count += 1
            usleep(1000)
        }
        return (latencies, largest)
    }
}

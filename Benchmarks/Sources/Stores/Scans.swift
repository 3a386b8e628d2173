import Reliability

/// Pages of 100 entries after a random key of a file store.
@Sendable func measureScan(_ directory: String, _ keys: Int) async throws -> Stores.Figures {
    let store = try await FileStore.open(roomyAt: "\(directory)/store")
    try await Content.fill(store, keys)
    var generator = SeededGenerator(seed: keys)
    let pages = 200
    let start = ContinuousClock.now
    for _ in 0..<pages {
        let after = Content.key(Int.random(in: 0..<keys, using: &generator))
        _ = try await store.scan(StoreKey("b"), after: after, limit: 100)
    }
    let time = ContinuousClock.now - start
    await store.close()
    return ["microsecondsAPage": time.inNanoseconds / 1000 / Double(pages)]
}

/// Commits of one task for 5 s without a scan, and for 5 s while another task scans all keys repeatedly.
@Sendable func measureWaitBesideScan(_ directory: String, _ keys: Int) async throws -> Stores.Figures {
    let store = try await FileStore.open(roomyAt: "\(directory)/store")
    try await Content.fill(store, keys)
    @Sendable func latencies() async throws -> Latencies {
        var latencies = Latencies()
        let end = ContinuousClock.now + .seconds(5)
        var number = 0
        while ContinuousClock.now < end {
            let write = StoreWrite.put(Content.key(number % keys), Content.value, .never, if: .any)
            try await latencies.measure { _ = try await store.commit(write) }
            number += 1
        }
        return latencies
    }
    let alone = try await latencies()
    let scanning = Task {
        while !Task.isCancelled {
            var after: StoreKey?
            repeat {
                after = try await store.scan(StoreKey("b"), after: after, limit: 100).next
            } while after != nil && !Task.isCancelled
        }
    }
    let beside = try await latencies()
    scanning.cancel()
    // A scan in a cancelled task may be rejected.
    _ = await scanning.result
    await store.close()
    return alone.figures(prefix: "alone.").merging(beside.figures(prefix: "beside.")) { first, _ in first }
}

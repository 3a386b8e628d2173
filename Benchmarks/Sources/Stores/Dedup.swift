import Reliability

/// A deduplicator that keeps the results of calls for a day.
func deduplicator(_ store: some KeyValueStore) -> Deduplicator {
    Deduplicator(
        .replay(retention: .seconds(86_400)),
        keyspace: "calls",
        store: store,
        storeFailure: .failClosed(timeout: .seconds(30))
    )
}

/// A call with a new key: a claim, an operation without work and a result of 16 bytes.
func call(_ dedup: Deduplicator, _ number: Int) async throws {
    let result = try await dedup.run("charge", ["customer", Content.text(number)]) { _ in
        [UInt8](repeating: 0, count: 16)
    }
    precondition(!result.isReplay, "a key was used twice")
}

private func bytesAKey(_ store: some KeyValueStore, _ keys: Int) async throws -> Stores.Figures {
    let dedup = deduplicator(store)
    let tasks = 256
    let warmUp = tasks * 10
    @Sendable func calls(_ numbers: Range<Int>) async throws {
        _ = try await time(tasks: tasks) { task in
            for number in numbers where number % tasks == task { try await call(dedup, number) }
        }
    }
    // The first calls allocate memory that the runtime keeps.
    try await calls(0..<warmUp)
    let before = memoryInUse()
    try await calls(warmUp..<warmUp + keys)
    return ["bytesAKey": Double(memoryInUse() - before) / Double(keys)]
}

/// Calls from a number of tasks on a store in memory.
@Sendable func measureMemoryDedup(_: String, _ tasks: Int) async throws -> Stores.Figures {
    let dedup = deduplicator(InMemoryStore.roomy())
    return try await rates([Contender("perSecond", tasks: tasks) { try await call(dedup, $0) }])
}

/// The memory of a number of keys in a file store.
@Sendable func measureFileDedupSize(_ directory: String, _ keys: Int) async throws -> Stores.Figures {
    let store = try await FileStore.open(roomyAt: "\(directory)/store")
    let figures = try await bytesAKey(store, keys)
    await store.close()
    return figures
}

/// The memory of a number of keys in a store in memory.
@Sendable func measureMemoryDedupSize(_: String, _ keys: Int) async throws -> Stores.Figures {
    try await bytesAKey(InMemoryStore.roomy(), keys)
}

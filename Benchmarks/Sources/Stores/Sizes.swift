import Reliability

/// The memory of an entry, and the memory and the disk space that are left after the deletion of all entries.
///
/// A store may give space back some time after a delete. The second measurement is therefore made after three seconds.
private func sizes(
    _ keys: Int,
    at path: String? = nil,
    fill: () async throws -> Void,
    clear: () async throws -> Void
) async throws -> Stores.Figures {
    func disk() -> Double { path.map { Double(diskBytes(in: $0)) / Double(1 << 20) } ?? 0 }
    let empty = memoryInUse()
    try await fill()
    let (full, fullDisk) = (memoryInUse(), disk())
    try await clear()
    try await Task.sleep(for: .seconds(3))
    return [
        "bytesAKey": Double(full - empty) / Double(keys),
        "full": Double(full - empty) / Double(1 << 20),
        "cleared": Double(memoryInUse() - empty) / Double(1 << 20),
        "full.disk": fullDisk,
        "cleared.disk": disk(),
    ]
}

/// The sizes of a file store with a number of keys.
@Sendable func measureFileSize(_ directory: String, _ keys: Int) async throws -> Stores.Figures {
    let path = "\(directory)/store"
    let store = try await FileStore.open(roomyAt: path)
    let figures = try await sizes(keys, at: path) {
        try await Content.fill(store, keys)
    } clear: {
        try await Content.clear(store, keys)
    }
    await store.close()
    return figures
}

/// The sizes of a store in memory with a number of keys.
@Sendable func measureMemorySize(_: String, _ keys: Int) async throws -> Stores.Figures {
    let store = InMemoryStore.roomy()
    return try await sizes(keys) {
        try await Content.fill(store, keys)
    } clear: {
        try await Content.clear(store, keys)
    }
}

/// The sizes of a dictionary behind a lock.
@Sendable func measureHandSize(_: String, _ keys: Int) async throws -> Stores.Figures {
    let store = HandStore()
    return try await sizes(keys) {
        for number in 0..<keys { _ = store.put(Content.text(number), Content.value, ifVersion: nil) }
    } clear: {
        for number in 0..<keys { store.remove(Content.text(number)) }
    }
}

import Reliability

/// The content of all measurements: keys of 16 bytes and values of 100 bytes.
enum Content {
    /// A new value, which shares its bytes with no other value.
    static var value: [UInt8] { [UInt8](repeating: 0x61, count: 100) }

    /// The key with a number, for the stores of the library.
    static func key(_ number: Int) -> StoreKey { StoreKey("b", bytes: [bytes(number)]) }

    /// The key with a number, for a dictionary.
    static func text(_ number: Int) -> String { String(decoding: bytes(number), as: UTF8.self) }

    /// The key with a number as 16 hexadecimal digits.
    static func bytes(_ number: Int) -> [UInt8] {
        (0..<16).map { place in
            let digit = UInt8(truncatingIfNeeded: number >> (60 - 4 * place)) & 0xF
            return digit < 10 ? 0x30 + digit : 0x57 + digit
        }
    }

    /// The bytes of an entry's key and value, without the overhead of any store.
    static let entryBytes = key(0).byteCount + value.count

    /// Puts entries with the numbers from 0 in commits of as many writes as the store allows.
    static func fill(_ store: some KeyValueStore, _ count: Int) async throws {
        try await forBatches(of: store, count) { .put(key($0), value, .never, if: .any) }
    }

    /// Deletes the entries of ``fill(_:_:)``.
    static func clear(_ store: some KeyValueStore, _ count: Int) async throws {
        try await forBatches(of: store, count) { .delete(key($0), if: .any) }
    }

    private static func forBatches(
        of store: some KeyValueStore,
        _ count: Int,
        _ write: @escaping @Sendable (Int) -> StoreWrite
    ) async throws {
        let size = min(100, store.capabilities.maxWrites)
        try await withThrowingTaskGroup { group in
            let tasks = 8
            for task in 0..<tasks {
                group.addTask {
                    for start in stride(from: task * size, to: count, by: tasks * size) {
                        _ = try await store.commit((start..<min(start + size, count)).map(write))
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}

extension FileStore {
    /// Opens a store with room for every measurement.
    static func open(roomyAt path: String) async throws -> FileStore {
        try await open(at: path, Configuration(maxEntries: 1 << 23, maxBytes: 8 << 30))
    }
}

extension InMemoryStore {
    /// Creates a store with room for every measurement.
    static func roomy() -> InMemoryStore {
        InMemoryStore(Configuration(maxEntries: 1 << 23, maxBytes: 8 << 30))
    }
}

import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@Suite("InMemoryStore on several threads")
struct InMemoryStoreShardTests {
    let clock = ManualClock()

    @Test("concurrent writes fill the store exactly", arguments: 0..<5)
    func exactCapacity(round: Int) async throws {
        let store = InMemoryStore(InMemoryStore.Configuration(maxEntries: 100), clock: clock)
        for generation in 0..<3 {
            let accepted = await withTaskGroup(of: Int.self) { group in
                for task in 0..<4 {
                    group.addTask {
                        var accepted = 0
                        for number in 0..<50 {
                            let key = StoreKey("test", "\(generation)", "\(task)", "\(number)")
                            let write = StoreWrite.put(key, [1], .after(.seconds(1)), if: .absent)
                            if (try? await store.commit([write])) != nil { accepted += 1 }
                        }
                        return accepted
                    }
                }
                return await group.reduce(0, +)
            }
            // Entries of the last generation have expired and take no room.
            #expect(accepted == 100)
            clock.advance(by: .milliseconds(1001))
        }
    }

    @Test("a page shows all writes of a commit or none, while commits run")
    func atomicPages() async throws {
        let store = InMemoryStore(clock: clock)
        let keys = (0..<40).map { StoreKey("test", "\($0)") }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<2 {
                group.addTask {
                    for number in 0..<200 {
                        let value = [UInt8(task), UInt8(number)]
                        _ = try await store.commit(keys.map { .put($0, value, .never, if: .any) })
                    }
                }
            }
            group.addTask {
                for _ in 0..<200 {
                    let page = try await store.scan(StoreKey("test"), after: nil, limit: 100)
                    #expect(Set(page.entries.map(\.entry.value)).count <= 1)
                    #expect(page.entries.isEmpty || page.entries.map(\.key) == keys.sorted())
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("versions of concurrent writes are never issued twice")
    func versions() async throws {
        let store = InMemoryStore(clock: clock)
        let versions = try await withThrowingTaskGroup(of: [StoreVersion].self) { group in
            for task in 0..<4 {
                group.addTask {
                    var versions: [StoreVersion] = []
                    for number in 0..<200 {
                        let write = StoreWrite.put(StoreKey("test", "\(task * number % 7)"), [], .never, if: .any)
                        guard case .committed(let issued) = try await store.commit([write]) else { continue }
                        versions += issued.compactMap { $0 }
                    }
                    #expect(versions == versions.sorted())
                    return versions
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(Set(versions).count == 800)
    }

    @Test("a scan reads pages of a large keyspace to the end")
    func pages() async throws {
        let store = InMemoryStore(clock: clock)
        for number in 0..<1000 {
            _ = try await store.commit([.put(StoreKey("test", "\(number)"), [], .never, if: .any)])
        }
        var keys: [StoreKey] = []
        var after: StoreKey?
        repeat {
            let page = try await store.scan(StoreKey("test"), after: after, limit: 1000)
            #expect(page.entries.count <= 256)
            keys += page.entries.map(\.key)
            after = page.next
        } while after != nil
        #expect(keys == (0..<1000).map { StoreKey("test", "\($0)") }.sorted())
    }
}

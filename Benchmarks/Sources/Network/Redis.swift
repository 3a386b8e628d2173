import ReliabilityRedis
import ReliabilityStore

private func open(_ address: String) async throws -> RedisStore {
    var configuration = RedisStore.Configuration(name: "b")
    configuration.keyspacesWithoutScan = [Content.keyspace]
    return try await RedisStore(configuration, address: try RedisAddress(address))
}

private func claim(_ store: RedisStore, _ key: StoreKey) async throws {
    let result: WriteResult = try await store.commit(.put(key, Content.value, .after(.seconds(600)), if: .absent))
    guard case .committed = result else { preconditionFailure("a key was claimed twice") }
}

private func decide(_ store: RedisStore, _ key: StoreKey) async throws {
    let decision = try await store.update(key, .gcra(interval: .microseconds(1), burst: 1_000_000, cost: 1))
    precondition(decision.isAllowed, "a call was rejected")
}

/// Makes each call once with the key that redis-benchmark replaces by a random number.
///
/// `Benchmarks/network` records the commands and sends the same commands with redis-benchmark.
@Sendable func recordRedisCommands(_ address: String, _: Int, _: Int) async throws -> Network.Figures {
    let store = try await open(address)
    let key = StoreKey(Content.keyspace, "__rand_int__")
    _ = try await store.get(key)
    try await claim(store, key)
    try await decide(store, key)
    store.close()
    return [:]
}

/// Claims of new keys, as a deduplicator makes them.
@Sendable func measureRedisClaims(_ address: String, _ count: Int, _ tasks: Int) async throws -> Network.Figures {
    let store = try await open(address)
    // The keys exist before, so the figures contain only the calls.
    let keys = (0..<count).map(Content.key)
    return try await measureCalls(count, tasks) { try await claim(store, keys[$0]) }
}

/// Decisions of a limiter that allows every call, on 64 keys.
@Sendable func measureRedisLimits(_ address: String, _ count: Int, _ tasks: Int) async throws -> Network.Figures {
    let store = try await open(address)
    let keys = (0..<64).map(Content.key)
    return try await measureCalls(count, tasks) { try await decide(store, keys[$0 % 64]) }
}

/// Reads of keys that do not exist.
@Sendable func measureRedisGets(_ address: String, _ count: Int, _ tasks: Int) async throws -> Network.Figures {
    let store = try await open(address)
    let keys = (0..<64).map(Content.key)
    return try await measureCalls(count, tasks) { _ = try await store.get(keys[$0 % 64]) as StoreEntry? }
}

import Foundation
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import ReliabilityRedis

private let key = StoreKey(Keyspace("k"), "a")
private let queue = QueueName("q")
private let counter = AtomicUpdate.add(1, within: 0...Int64.max, expiry: .seconds(3600))

@Suite("Failures of a Redis server", .enabled(if: RedisServer.isEnabled))
struct RedisFailureTests {
    private func put(_ store: RedisStore, _ key: StoreKey = key, _ value: [UInt8] = [1]) async -> StoreError.Reason? {
        await store.reason { store async throws(StoreError) in
            _ = try await store.commit(.put(key, value, .never, if: .any))
        }
    }

    private func add(_ store: RedisStore) async -> StoreError.Reason? {
        await store.reason { store async throws(StoreError) in _ = try await store.update(key, counter) }
    }

    private func count(_ store: RedisStore) async throws -> Int64 {
        try await store.update(key, .add(0, within: 0...Int64.max, expiry: .seconds(3600))).remaining
    }

    @Test("N5: a full server rejects put and enqueue as capacityExceeded, and serves get, claim, settle and delete")
    func fullMemory() async throws {
        let server = try RedisServer("--maxmemory", "3mb")
        try await server.command("PING")
        let store = try await server.store()
        _ = try await store.enqueue([NewRecord(queue: queue, id: "1", payload: [1])])
        #expect(await put(store) == nil)
        var filled = 0
        while await put(store, StoreKey(Keyspace("k"), "\(filled)"), Array(repeating: 1, count: 10_000)) == nil {
            filled += 1
        }
        #expect(filled > 10)
        let big = Array(repeating: UInt8(2), count: 10_000)
        #expect(await put(store, key, big) == .capacityExceeded)
        #expect(
            await store.reason { store async throws(StoreError) in
                _ = try await store.enqueue([NewRecord(queue: queue, id: "2", payload: big)])
            } == .capacityExceeded
        )
        #expect(try await store.counts(queue) == RecordCounts(pending: 1, deadLetters: 0))
        #expect(try await store.get(key)?.value == [1])
        let claim = try #require(try await store.claim(queue, limit: 1, lease: .seconds(9)).first)
        #expect(try await store.settle([Settlement(claim, .done)]) == [.settled])
        for index in 0..<filled { _ = try await store.commit(.delete(StoreKey(Keyspace("k"), "\(index)"), if: .any)) }
        #expect(await put(store) == nil)
        #expect(store.connectionState == .ready)
    }

    @Test("N6: losing all scripts costs one round trip and no error")
    func lostScripts() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        let store = try await server.store()
        for expected in 1...5 {
            try await server.command("SCRIPT", "FLUSH")
            #expect(try await store.update(key, counter).remaining == Int64(expected))
        }
    }

    @Test("N7: nothing is executed twice because of lost scripts")
    func lostScriptsUnderLoad() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        let store = try await server.store()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<16 {
                group.addTask { for _ in 0..<100 { _ = try await store.update(key, counter) } }
            }
            for _ in 0..<20 { try await server.command("SCRIPT", "FLUSH") }
            try await group.waitForAll()
        }
        #expect(try await count(store) == 1600)
    }

    @Test("N8: a write without an answer is an unknown outcome, and is made 0 or 1 times")
    func stopped() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        let store = try await server.store(configure: { $0.commandTimeout = .milliseconds(200) })
        #expect(await add(store) == nil)
        server.signal(SIGSTOP)
        #expect(await add(store) == .unknownOutcome)
        server.signal(SIGCONT)
        #expect([1, 2].contains(try await eventually { try? await count(store) }))
    }

    @Test("N9: a reply that comes late reaches nobody")
    func lateReply() async throws {
        let server = try RedisServer("--enable-debug-command", "yes")
        try await server.command("PING")
        let store = try await server.store()
        _ = try await store.commit(.put(key, [7], .never, if: .any))
        let other = StoreKey(Keyspace("k"), "b")
        _ = try await store.commit(.put(other, [8], .never, if: .any))
        server.signal(SIGSTOP)
        // The deadline of this caller is over long before the connection's limit.
        let late = Task {
            let read: StoreEntry? = try await store.get(key)
            return read?.value
        }
        late.cancel()
        let result = await late.result
        server.signal(SIGCONT)
        for _ in 0..<20 { #expect(try await store.get(other)?.value == [8]) }
        if case .success(let value) = result { #expect(value == [7]) }
    }

    @Test("N10: a busy server is unavailable and never unknown")
    func busy() async throws {
        let server = try RedisServer("--busy-reply-threshold", "50")
        try await server.command("PING")
        let store = try await server.store()
        #expect(await add(store) == nil)
        let script = Task { try await server.command("EVAL", "while true do end", "0") }
        try await waitUntil {
            if case .error(let text) = try await server.command("GET", "x") { text.hasPrefix("BUSY") } else { false }
        }
        #expect(await add(store) == .unavailable)
        try await server.command("SCRIPT", "KILL")
        _ = try await script.value
        #expect(try await eventually { try? await count(store) } == 1)
    }

    @Test(
        "N11: a script that fails leaves nothing",
        arguments: ["i", "d:q", "m:q", "b:q", "p:q", "x:q"],
        ["commit", "update", "settle"]
    )
    func foreignContent(part: String, operation: String) async throws {
        let server = try RedisServer.shared.get()
        let store = try await server.store()
        let other = StoreKey(Keyspace("k"), "other")
        let foreign = "{\(store.configuration.name)}:\(part)"
        _ = try await store.commit(
            [.put(key, [1], .never, if: .any)],
            enqueueing: [NewRecord(queue: queue, id: "1", payload: [1])]
        )
        let claimed = try #require(try await store.claim(queue, limit: 1, lease: .seconds(60)).first)
        try await server.command("SET", foreign, "x")
        let before = try await content(of: store, on: server)
        let reason = await store.reason { store async throws(StoreError) in
            switch operation {
            case "commit":
                _ = try await store.commit(
                    [.put(other, [1], .never, if: .any), .delete(key, if: .any)],
                    enqueueing: [NewRecord(queue: queue, id: "2", payload: [1])]
                )
            case "update":
                _ = try await store.update(other, counter)
            default:
                _ = try await store.settle([Settlement(claimed, .done)])
            }
        }
        let needsPart = operation == "update" ? part == "i" : operation == "commit" || part != "i"
        #expect(reason == (needsPart ? .failed : nil))
        if needsPart { #expect(try await content(of: store, on: server) == before) }
    }

    /// The keys of a store and their serialized values.
    private func content(of store: RedisStore, on server: RedisServer) async throws -> RedisReply {
        let script = """
            local keys = redis.call('KEYS', ARGV[1])
            table.sort(keys)
            for index = 1, #keys do keys[index] = {keys[index], redis.call('DUMP', keys[index])} end
            return keys
            """
        let reply = try await server.command("EVAL", script, "0", "{\(store.configuration.name)}:*")
        try #require(!"\(reply)".hasPrefix("error"))
        return reply
    }

    @Test("an entry of another program with any bytes ends no process")
    func foreignEntry() async throws {
        let server = try RedisServer.shared.get()
        let store = try await server.store()
        for byte in [0, 0x7F, 0x80, 0xFF] as [UInt8] {
            for length in [0, 15, 16, 40] {
                try await server.command([Array("SET"), store.rawKey(key), Array(repeating: byte, count: length)])
                let read = await store.reason { store async throws(StoreError) in _ = try await store.get([key]) }
                #expect(read == (length < 16 ? .failed : nil), "\(length) times \(byte)")
                _ = await put(store)
                _ = await add(store)
            }
        }
    }

    @Test("N18: a server that loads its data is not ready, and no caller waits")
    func loading() async throws {
        let server = try RedisServer("--appendonly", "yes", "--key-load-delay", "2000")
        try await server.command("PING")
        let store = try await server.store()
        for part in 0..<8 {
            _ = try await store.commit(
                (0..<100).map { .put(StoreKey(Keyspace("k"), "\(part)-\($0)"), [1], .never, if: .any) }
            )
        }
        try server.restart()
        var rejected = 0
        try await waitUntil {
            switch await store.reason({ store async throws(StoreError) in _ = try await store.get([key]) }) {
            case nil: return true
            case let reason:
                #expect(reason == .unavailable)
                rejected += 1
                return false
            }
        }
        #expect(rejected > 0)
        #expect(try await store.get(StoreKey(Keyspace("k"), "7-99")) != nil)
    }

    @Test("N17: a demoted primary is left, and a promoted server is used again")
    func demoted() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        let store = try await server.store()
        try await server.command("REPLICAOF", "127.0.0.1", "1")
        #expect(await put(store) == .unavailable)
        #expect(store.connectionState != .ready)
        try await server.command("REPLICAOF", "NO", "ONE")
        try await waitUntil { await put(store) == nil }
    }

    @Test("N19: an emptied store is reported", arguments: [true, false])
    func emptied(restarts: Bool) async throws {
        let server = try RedisServer()
        try await server.command("PING")
        let isReported = Lock(false)
        var limits = ConnectionLimits()
        limits.checkInterval = .milliseconds(20)
        let store = try await server.store(limits: limits) { event in
            if case .storeWasEmptied = event { isReported.withLock { $0 = true } }
        }
        #expect(await put(store) == nil)
        if restarts { try server.restart() } else { try await server.command("FLUSHALL") }
        try await waitUntil { isReported.withLock { $0 } }
    }

    @Test(
        "N22: acknowledged writes of eight writers survive SIGKILL as the durability says",
        arguments: [("no", StoreCapabilities.Durability.processCrash), ("always", .powerLoss)]
    )
    func durability(setting: String, durability: StoreCapabilities.Durability) async throws {
        let server = try RedisServer("--appendonly", "yes", "--appendfsync", setting)
        try await server.command("PING")
        let store = try await server.store()
        #expect(store.capabilities.durability == durability)
        let acknowledged = Counter()
        var writers: [Task<Int, Never>] = []
        for writer in 0..<8 {
            writers.append(
                Task {
                    var number = 0
                    while await self.put(store, StoreKey(Keyspace("k"), "\(writer)-\(number)")) == nil {
                        number += 1
                        acknowledged.increment()
                    }
                    return number
                }
            )
        }
        try await waitUntil { acknowledged.value > 2000 }
        try server.restart()
        _ = try await eventually { try? await store.get([key]) }
        for (writer, task) in writers.enumerated() {
            for number in 0..<(await task.value) {
                #expect(try await store.get(StoreKey(Keyspace("k"), "\(writer)-\(number)")) != nil)
            }
        }
    }

    @Test("N26: no call waits longer than its limit while the server is stopped")
    func limit() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        let store = try await server.store(configure: { $0.commandTimeout = .milliseconds(300) })
        server.signal(SIGSTOP)
        let start = ContinuousClock.now
        let reasons = await withTaskGroup(of: StoreError.Reason?.self) { group in
            for _ in 0..<200 { group.addTask { await put(store) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(reasons.count == 200 && !reasons.contains(nil))
        // Far above the limit, for machines under load, and far below the time that 200 limits in a row take.
        #expect(ContinuousClock.now - start < .seconds(10))
        #expect(await put(store) == .unavailable)
        server.signal(SIGCONT)
        try await waitUntil { await put(store) == nil }
    }

    @Test("N32: calls beyond the limit are rejected, are no failures of the server and harm no other call")
    func manyCalls() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        var limits = ConnectionLimits()
        limits.checkInterval = .seconds(60)
        let store = try await server.store(limits: limits, configure: { $0.commandTimeout = .seconds(30) })
        server.signal(SIGSTOP)
        let rejected = EventRecorder<StoreError.Reason?>()
        let calls = (0..<12_000).map { _ in
            Task {
                let reason = await add(store)
                if reason != nil { rejected.record(reason) }
                return reason
            }
        }
        // The other calls wait, because the server does not answer.
        #expect(await rejected.wait(for: 12_000 - WaitingCalls.limit).allSatisfy { $0 == .unavailable })
        server.signal(SIGCONT)
        var made: Int64 = 0
        for call in calls where await call.value == nil { made += 1 }
        #expect(made == WaitingCalls.limit)
        #expect(try await count(store) == made)
        #expect(store.connectionState == .ready)
    }

    @Test("N28: a server that accepts a connection and does not answer is not ready")
    func stoppedBeforeOpening() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        server.signal(SIGSTOP)
        var limits = ConnectionLimits()
        limits.maxAttempts = 2
        limits.attemptLimit = .milliseconds(200)
        let error = await openingError { try await server.store(limits: limits) }
        #expect(error?.reason == .unavailable)
        server.signal(SIGCONT)
    }

    @Test("N27: a store is ready again after its server was gone")
    func gone() async throws {
        let server = try RedisServer("--appendonly", "yes", "--appendfsync", "always")
        try await server.command("PING")
        var limits = ConnectionLimits()
        limits.maxAttempts = 2
        limits.maxDelay = .milliseconds(10)
        let store = try await server.store(limits: limits)
        #expect(await add(store) == nil)
        server.kill()
        try await waitUntil { store.connectionState == .gone }
        #expect(await add(store) == .unavailable)
        try server.start()
        #expect(try await eventually { try? await count(store) } == 1)
    }

    @Test("N29: a server with too many clients is unavailable, and a later attempt succeeds")
    func tooManyClients() async throws {
        let server = try RedisServer("--maxclients", "2")
        try await server.command("PING")
        let (first, second) = (try await server.store(), try await server.store())
        var limits = ConnectionLimits()
        limits.maxAttempts = 2
        let error = await openingError { try await server.store(limits: limits) }
        #expect(error?.reason == .unavailable)
        second.close()
        let third = try await eventually { try? await server.store(limits: limits) }
        #expect(await put(third) == nil)
        #expect(await put(first) == nil)
    }

    @Test("N31: cancelled calls harm no other call", arguments: [1, 2, 3] as [UInt64])
    func cancellation(seed: UInt64) async throws {
        let server = try RedisServer.shared.get()
        let store = try await server.store()
        var random = SeededGenerator(seed: seed)
        var kept: [Task<StoreError.Reason?, Never>] = []
        var cancelled: [Task<StoreError.Reason?, Never>] = []
        for index in 0..<2000 {
            let task = Task { await add(store) }
            if Bool.random(using: &random) { kept.append(task) } else { cancelled.append(task) }
            if index % 7 == 0 { await Task.yield() }
            if !cancelled.isEmpty, Bool.random(using: &random) { cancelled.randomElement(using: &random)?.cancel() }
        }
        for task in cancelled { task.cancel() }
        var known: Int64 = 0
        var unknown: Int64 = 0
        for task in kept {
            #expect(await task.value == nil)
            known += 1
        }
        for task in cancelled {
            switch await task.value {
            case nil: known += 1
            case .unknownOutcome: unknown += 1
            case let reason: #expect(reason == .cancelled)
            }
        }
        let count = try await count(store)
        #expect((known...known + unknown).contains(count), "seed \(seed)")
        #expect(store.connectionState == .ready)
    }

    @Test("a command is sent while an earlier command has no reply")
    func pipelining() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        let connection = try await SocketConnection.open(server.address, limit: .seconds(30)) { _ in }
        defer { connection.end("the test has ended") }
        @Sendable func send(_ parts: String...) async throws -> RedisReply {
            try await connection.send(parts.map { Array($0.utf8) }, keys: 0..<0, limit: .seconds(30))
        }
        let first = Task { try await send("BLPOP", "list", "0") }
        try await waitUntil { try await server.clients().contains("cmd=blpop") }
        let second = Task { try await send("GET", "missing") }
        // The server has read the second command and holds the command back.
        try await waitUntil {
            try await server.clients().split(separator: "\n").contains {
                $0.contains("cmd=blpop") && !$0.contains(" qbuf=0 ")
            }
        }
        try await server.command("RPUSH", "list", "a")
        #expect(try await first.value == .array([.bytes(Array("list")), .bytes(Array("a"))]))
        #expect(try await second.value == .null)
    }

    @Test("the deadline of a caller ends the caller's wait and not the connection")
    func deadline() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        let store = try await server.store()
        server.signal(SIGSTOP)
        let deadline = Deadline(
            instant: TimeSource.continuous.instant(after: .milliseconds(30)),
            timeSource: .continuous
        )
        let reason = await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) { await put(store) }
        #expect(reason == .unknownOutcome)
        server.signal(SIGCONT)
        #expect(await put(store) == nil)
        #expect(store.connectionState == .ready)
    }

    @Test("a closed store rejects calls as closed, and fails the calls under way")
    func closed() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        let store = try await server.store()
        server.signal(SIGSTOP)
        let call = Task { await put(store) }
        try await waitUntil { call.isCancelled || store.connectionState == .ready }
        store.close()
        let reason = await call.value
        #expect(reason == .unknownOutcome || reason == .closed)
        #expect(await put(store) == .closed)
        server.signal(SIGCONT)
    }
}

extension RedisServer {
    /// The connections of the server with their last commands.
    fileprivate func clients() async throws -> String {
        guard case .bytes(let text) = try await command("CLIENT", "LIST") else { return "" }
        return String(decoding: text, as: UTF8.self)
    }
}

private final class Counter: Sendable {
    private let count = Lock(0)
    var value: Int { count.withLock { $0 } }
    func increment() { count.withLock { $0 += 1 } }
}

#if LibPQ
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import ReliabilityPostgres

@Suite(
    "Concurrency in PostgreSQL",
    .serialized,
    .serverTurn,
    .timeLimit(.minutes(10)),
    .enabled(if: PostgresServer.isEnabled)
)
struct ConcurrencyTests {
    @Test("N33: a claim returns at most its limit, and all that are due up to the limit, under any plan")
    func claimLimits() async throws {
        let fixture = try await StoreFixture()
        let options =
            "options='-c enable_hashjoin=off -c enable_mergejoin=off -c enable_seqscan=off -c enable_material=off'"
        for address in [fixture.server.address(), fixture.server.address() + " " + options] {
            let store = try await fixture.store(over: try LibPQTransport(address))
            for first in stride(from: 0, to: 300, by: 100) {
                _ = try await store.enqueue(
                    (first..<first + 100).map { NewRecord(queue: "q", id: "\($0)", payload: []) }
                )
            }
            var total = 0
            for limit in [1, 7, 100, 128, 1000] {
                let claims = try await store.claim("q", limit: limit, lease: .seconds(60))
                #expect(claims.count == min(limit, 128, 300 - total))
                total += claims.count
            }
            #expect(total == 300)
            try await fixture.admin.run("DELETE FROM \(fixture.schema).record")
            store.close()
        }
        try await fixture.close()
    }

    @Test("N34: a lost create returns the entry of the winner, also if the winner's transaction stays open")
    func lostCreates() async throws {
        try await withStore { store, fixture in
            let key = StoreKey("n34")
            let loser = try await fixture.admin.withSession { session in
                try await session.run("BEGIN")
                let winner = StoreWrite.put(key, [1], .never, if: .absent).arguments
                try await session.run(
                    store.statements.write,
                    [
                        .int4(KeyLocks.number(winner.key)), .bytes(winner.key), .int2(winner.kind),
                        .int2(winner.condition), .int8(0), .int8(winner.life), .bytes(winner.value),
                    ]
                )
                let loser = Task { try await store.commit(.put(key, [2], .never, if: .absent)) as WriteResult }
                try await eventually("the loser waits") {
                    try await fixture.admin.text(
                        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                    ) != "0"
                }
                try await session.run("COMMIT")
                return loser
            }
            guard case .conflict(let entry?) = try await loser.value else {
                Issue.record("two creates succeeded")
                return
            }
            #expect(entry.value == [1])
        }
    }

    @Test("N35: a checked condition holds until the commit is made")
    func writeSkew() async throws {
        try await withStore { store, _ in
            for round in 0..<150 {
                let keys = [StoreKey("n35", "\(round)", "a"), StoreKey("n35", "\(round)", "b")]
                async let first = store.commit([
                    .check(keys[1], .absent), .put(keys[0], [1], .never, if: .absent),
                ])
                async let second = store.commit([
                    .check(keys[0], .absent), .put(keys[1], [1], .never, if: .absent),
                ])
                let made = [try await first, try await second].count { if case .committed = $0 { true } else { false } }
                #expect(made == 1, "round \(round)")
            }
        }
    }

    @Test("N35: a role with another default isolation is rejected", arguments: ["repeatable read", "serializable"])
    func isolation(level: String) async throws {
        let fixture = try await StoreFixture()
        let options =
            " options='-c default_transaction_isolation=\(level.split(separator: " ").joined(separator: "\\\\ "))'"
        let transport = try LibPQTransport(
            fixture.server.address() + options,
            configuration: .init(serverLimits: nil)
        )
        do {
            let error = await failure { try await fixture.store(over: transport) }
            #expect(
                error?.reason == .failed && error?.explanation.contains("read committed") == true,
                "\(String(describing: error))"
            )
        }
        // The functions reject the isolation as well, for a setting that changes later.
        let later = try LibPQTransport(fixture.server.address() + options, configuration: .init(serverLimits: nil))
        let commands = PostgresCommands(.fixed(later), timeout: .seconds(3))
        let write = StoreWrite.put(StoreKey("a"), [], .never, if: .any).arguments
        let error = await failure {
            try await commands.write(
                Statements(schema: fixture.schema).write,
                [
                    .int4(0), .bytes(write.key), .int2(write.kind), .int2(write.condition), .int8(write.wanted),
                    .int8(write.life), .bytes(write.value),
                ]
            )
        }
        #expect(error?.explanation.contains("RL001") == true, "\(String(describing: error))")
        await later.close()
        try await fixture.close()
    }

    @Test("N36: keys in any order never deadlock")
    func keyOrder() async throws {
        let fixture = try await StoreFixture()
        let transport = RecordingTransport(
            try LibPQTransport(fixture.server.address(), configuration: .init(maxConnections: 16))
        )
        let store = try await fixture.store(over: transport)
        let keys = (0..<20).map { StoreKey("n36", "\($0)") }
        try await withThrowingTaskGroup { group in
            for task in 0..<32 {
                group.addTask {
                    var random = SeededGenerator(seed: UInt64(task))
                    for step in 0..<10 {
                        let order = keys.shuffled(using: &random).prefix(10)
                        if step % 2 == 0 {
                            let records = order.map { NewRecord(queue: "q", id: "\($0.hashValue)", payload: []) }
                            _ = try await store.commit(
                                order.map { .put($0, [1], .never, if: .any) },
                                enqueueing: records
                            )
                        } else {
                            _ = try await store.update(
                                order.map { ($0, AtomicUpdate.add(1, within: 0 ... .max, expiry: .seconds(60))) }
                            )
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(!transport.codes.contains("40P01"))
        store.close()
        try await fixture.close()
    }

    @Test("N42: nothing depends on the session")
    func sessions() async throws {
        let fixture = try await StoreFixture()
        let transport = AlternatingTransport([
            try LibPQTransport(fixture.server.address(), configuration: .init(maxConnections: 1, serverLimits: nil)),
            try LibPQTransport(fixture.server.address(), configuration: .init(maxConnections: 1, serverLimits: nil)),
        ])
        let store = try await fixture.store(over: transport)
        let key = StoreKey("n42")
        guard case .committed(let version?) = try await store.commit(.put(key, [1], .after(.seconds(60)), if: .absent))
        else {
            Issue.record("a create conflicted")
            return
        }
        #expect(try await store.get(key)?.version == version)
        #expect(
            try await store.commit([.delete(key, if: .version(version)), .check(StoreKey("x"), .absent)])
                == .committed([nil, nil])
        )
        _ = try await store.enqueue([NewRecord(queue: "q", id: "a", payload: [1])])
        let claims = try await store.claim("q", limit: 9, lease: .seconds(60))
        #expect(try await store.settle(claims.map { Settlement($0, .done) }) == [.settled])
        #expect(try await store.update(key, .gcra(interval: .seconds(1), burst: 1, cost: 1)).isAllowed)
        await ExpirySweep(store.statements, timeout: .seconds(3)).run(fixture.admin)
        #expect(try await fixture.advisoryLocks == "0")
        store.close()
        try await fixture.close()
    }

    @Test("N50: many keys in concurrent commits end in an answer or an error, and the server continues")
    func manyKeys() async throws {
        let server = try PostgresServer(["max_connections=30", "max_locks_per_transaction=10"])
        let fixture = try await StoreFixture(server)
        let store = try await fixture.store(.init(maxConnections: 20))
        let reasons = await withTaskGroup { group in
            for task in 0..<40 {
                group.addTask {
                    let writes = (0..<128).map {
                        StoreWrite.put(StoreKey("n50", "\(task)", "\($0)"), [1], .never, if: .any)
                    }
                    do throws(StoreError) { _ = try await store.commit(writes) } catch { return Optional(error.reason) }
                    return nil
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(reasons.allSatisfy { $0 == nil || $0 == .unavailable })
        _ = try await store.commit(.put(StoreKey("after"), [1], .never, if: .any)) as WriteResult
        store.close()
        await fixture.admin.close()
        server.stop()
    }
}

/// A client that uses another connection for each statement, with a session that was reset.
private final class AlternatingTransport: PostgresTransport {
    private let transports: [LibPQTransport]
    private let turn = Lock(0)

    init(_ transports: [LibPQTransport]) { self.transports = transports }

    func query(
        _ sql: String,
        _ values: [PostgresValue],
        limit: Duration
    ) async throws(ConnectionFailure) -> PostgresReply {
        let number = turn.withLock { turn in
            turn += 1
            return turn
        }
        let transport = transports[number % transports.count]
        _ = try await transport.query("DISCARD ALL", [], limit: limit)
        return try await transport.query(sql, values, limit: limit)
    }

    func close() async { for transport in transports { await transport.close() } }
}
#endif

#if LibPQ
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityStore
import Testing

@testable import ReliabilityPostgres

@Suite(
    "Maintenance of a PostgresStore",
    .serialized,
    .serverTurn,
    .timeLimit(.minutes(10)),
    .enabled(if: PostgresServer.isEnabled)
)
struct MaintenanceTests {
    @Test("N25: leftovers of expired entries are removed by the store itself, and all other entries stay")
    func removal() async throws {
        let fixture = try await StoreFixture()
        let store = try await fixture.store(checkInterval: .milliseconds(10))
        for first in stride(from: 0, to: 2560, by: 128) {
            _ = try await store.commit(
                (first..<first + 128).map {
                    .put(StoreKey("n25", "\($0)"), [1], $0 % 5 == 0 ? .never : .after(.milliseconds(1)), if: .any)
                }
            )
        }
        let count = "SELECT count(*) FROM \(fixture.schema).entry"
        try await eventually("all expired entries are removed") { try await fixture.admin.text(count) == "512" }
        let keys = (0..<2560).filter { $0 % 5 == 0 }.map { StoreKey("n25", "\($0)") }
        #expect(try await store.get(keys).allSatisfy { $0 != nil })
        store.close()
        try await fixture.close()
    }

    @Test("N38: claims do not visit the dead entries that a held snapshot keeps")
    func heldSnapshots() async throws {
        let fixture = try await StoreFixture()
        let transport = RecordingTransport(
            try LibPQTransport(fixture.server.address(), configuration: StoreFixture.patient)
        )
        let store = try await fixture.store(over: transport)
        try await fixture.admin.withSession { session in
            try await session.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
            try await session.run("SELECT 1")
            for batch in 0..<50 {
                _ = try await store.enqueue((0..<128).map { NewRecord(queue: "q", id: "\(batch) \($0)", payload: []) })
                let claims = try await store.claim("q", limit: batch == 0 ? 64 : 128, lease: .seconds(60))
                _ = try await store.settle(claims.map { Settlement($0, .done) })
            }
            let floor = try #require(
                transport.calls.last { $0.sql == store.statements.claim && $0.values[3] != .int8(0) }
            )
            let start = try #require(floor.values[3].bytes?.integer(Int64.self))
            // The claim knows the time before its query is planned.
            let now = try await fixture.admin.text("\(fixture.schema).clock_v1()")
            func blocks(from due: Int64) async throws -> Int {
                try await fixture.blocks(
                    "SELECT id FROM \(fixture.schema).record WHERE queue = 'q' AND state < 2 AND due >= \(due) AND due <= \(now) ORDER BY due, version LIMIT 1"
                )
            }
            let (all, few) = (try await blocks(from: 0), try await blocks(from: start))
            try await session.run("SELECT 1")
            #expect(few * 4 < all, "\(few) blocks from the floor and \(all) from the first record")
            try await session.run("COMMIT")
        }
        store.close()
        try await fixture.close()
    }

    @Test("N39: the cost of a hot counter under a held snapshot is known and reported")
    func hotCounter() async throws {
        let fixture = try await StoreFixture()
        let store = try await fixture.store()
        let (hot, calm) = (StoreKey("n39", "hot"), StoreKey("n39", "calm"))
        let counter = AtomicUpdate.add(1, within: 0...100_000, expiry: .seconds(3600))
        func blocks(_ key: StoreKey) async throws -> Int {
            let digits = key.encoded.map { String(Int($0) + 256, radix: 16).dropFirst() }.joined()
            return try await fixture.blocks("SELECT value FROM \(fixture.schema).entry WHERE key = '\\x\(digits)'")
        }
        func count(_ number: Int) async throws {
            for _ in 0..<number { #expect(try await store.update(hot, counter).isAllowed) }
        }
        _ = try await store.update(calm, counter)
        try await count(10)
        try await fixture.admin.withSession { session in
            try await session.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
            try await session.run("SELECT 1")
            try await count(990)
            // A read of the counter passes the rows of all its changes. Other entries stay as fast as before.
            #expect(try await blocks(hot) >= 10)
            #expect(try await blocks(calm) <= 3)
            try await session.run("COMMIT")
        }
        // After the transaction, the server removes the dead rows. The counter has lost no change.
        try await fixture.admin.run("VACUUM \(fixture.schema).entry")
        #expect(try await blocks(hot) <= 3)
        #expect(try await store.update(hot, .add(0, within: 0...1000, expiry: .seconds(3600))).remaining == 1000)
        store.close()
        try await fixture.close()
    }

    @Test("a claim that is not full from the floor on takes earlier records in the same call")
    func earlierRecords() async throws {
        try await withStore { store, fixture in
            _ = try await store.enqueue((0..<20).map { NewRecord(queue: "q", id: "\($0)", payload: []) })
            #expect(try await store.claim("q", limit: 10, lease: .seconds(60)).count == 10)
            try await fixture.admin.run("UPDATE \(fixture.schema).record SET due = 1 WHERE id = '19'::bytea")
            let claims = try await store.claim("q", limit: 50, lease: .seconds(60))
            #expect(claims.count == 10 && claims.first?.id == "19")
        }
    }

    @Test("a record that a transaction adds late is claimed although the floor has passed its due time")
    func lateRecords() async throws {
        try await withStore { store, fixture in
            try await fixture.admin.withSession { session in
                try await session.run("BEGIN")
                _ = try await store.enqueue([NewRecord(queue: "q", id: "late", payload: [])], in: session)
                // Full batches move the floor beyond the due time of the late record.
                for batch in 0..<20 {
                    _ = try await store.enqueue(
                        (0..<100).map { NewRecord(queue: "q", id: "\(batch) \($0)", payload: []) }
                    )
                    _ = try await store.claim("q", limit: 50, lease: .seconds(60))
                }
                try await session.run("COMMIT")
            }
            try await eventually("the late record is claimed", within: .seconds(3)) {
                try await store.claim("q", limit: 5, lease: .seconds(60)).contains { $0.id == "late" }
            }
        }
    }
}
#endif

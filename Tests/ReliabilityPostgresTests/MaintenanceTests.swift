#if LibPQ
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityStore
import Testing

@testable import ReliabilityPostgres

@Suite(
    "Maintenance of a PostgresStore",
    .serialized,
    .timeLimit(.minutes(5)),
    .enabled(if: PostgresServer.programs != nil)
)
struct MaintenanceTests {
    @Test("N25: a removal leaves no expired entry and keeps all others, with one client at a time")
    func removal() async throws {
        try await withStore { store, fixture in
            for first in stride(from: 0, to: 2560, by: 128) {
                _ = try await store.commit(
                    (first..<first + 128).map {
                        .put(StoreKey("n25", "\($0)"), [1], $0 % 5 == 0 ? .never : .after(.milliseconds(1)), if: .any)
                    }
                )
            }
            try await eventually("the last entry has expired") { try await store.get(StoreKey("n25", "2559")) == nil }
            let other = try await fixture.store()
            async let first = store.removeExpired()
            async let second = other.removeExpired()
            let counts = [try await first, try await second]
            #expect(counts.compactMap { $0 }.reduce(0, +) == 2048)
            #expect(try await store.removeExpired() == 0)
            #expect(try await fixture.admin.text("SELECT count(*) FROM \(fixture.schema).entry") == "512")
            // Another client that holds the claim, or that died with the claim.
            _ =
                try await store.commit(
                    .put(
                        StoreKey("reliability-maintenance", "removeExpired"),
                        [],
                        .after(.milliseconds(300)),
                        if: .absent
                    )
                ) as WriteResult
            #expect(try await store.removeExpired() == nil)
            try await eventually("the claim of the other client has ended") { try await store.removeExpired() != nil }
            await other.close()
        }
    }

    @Test("N38: claims do not visit the dead entries that a held snapshot keeps")
    func heldSnapshots() async throws {
        let fixture = try await StoreFixture()
        let transport = RecordingTransport(try LibPQTransport(fixture.server.address()))
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
            func blocks(from due: Int64) async throws -> Int {
                let rows = try await fixture.admin.run(
                    "EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) SELECT id FROM \(fixture.schema).record WHERE queue = 'q' AND state < 2 AND due >= \(due) AND due <= \(fixture.schema).clock_v1() ORDER BY due, version LIMIT 1"
                )
                let text = rows.compactMap { $0.first ?? nil }.map { String(decoding: $0, as: UTF8.self) }.joined(
                    separator: " "
                )
                let hits = text.split(separator: "hit=").dropFirst().first?.prefix { $0.isNumber }
                return Int(hits ?? "") ?? 0
            }
            let (all, few) = (try await blocks(from: 0), try await blocks(from: start))
            try await session.run("SELECT 1")
            if few * 4 >= all { print(try await fixture.admin.run("EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) SELECT id FROM \(fixture.schema).record WHERE queue = 'q' AND state < 2 AND due >= \(start) AND due <= \(fixture.schema).clock_v1() ORDER BY due, version LIMIT 1").map { String(decoding: $0[0] ?? [], as: UTF8.self) }.joined(separator: "\n")) }
            #expect(few * 4 < all, "\(few) blocks from the floor and \(all) from the first record")
            try await session.run("COMMIT")
        }
        await store.close()
        try await fixture.close()
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

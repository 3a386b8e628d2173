#if LibPQ
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityStore
import Testing

@testable import ReliabilityPostgres

@Suite(
    "Records in a user's transaction",
    .serialized,
    .serverTurn,
    .timeLimit(.minutes(10)),
    .enabled(if: PostgresServer.isEnabled)
)
struct TransactionTests {
    private struct Rollback: Error {}
    private func record(_ id: String, _ payload: [UInt8] = [1]) -> NewRecord {
        NewRecord(queue: "q", id: id, payload: payload)
    }

    @Test(
        "N46: after a rollback there is no message, and after a commit the message is delivered, however long it took"
    )
    func commitAndRollback() async throws {
        try await withStore { store, fixture in
            await #expect(throws: Rollback.self) {
                try await fixture.admin.withSession { session in
                    try await session.withTransaction {
                        #expect(try await store.enqueue([record("rolled back")], in: session) == [.enqueued])
                        throw Rollback()
                    }
                }
            }
            #expect(try await store.counts("q").pending == 0)
            try await fixture.admin.withSession { session in
                try await session.withTransaction {
                    #expect(try await store.enqueue([record("late")], in: session) == [.enqueued])
                    // Other records are added, claimed and removed past the open transaction.
                    for step in 0..<5 {
                        _ = try await store.enqueue((0..<20).map { record("\(step) \($0)") })
                        let claims = try await store.claim("q", limit: 10, lease: .seconds(60))
                        #expect(claims.count == 10 && !claims.contains { $0.id == "late" })
                        _ = try await store.settle(claims.map { Settlement($0, .done) })
                    }
                }
            }
            var ids: [String] = []
            while case let claims = try await store.claim("q", limit: 10, lease: .seconds(60)), !claims.isEmpty {
                ids += claims.map(\.id)
            }
            #expect(ids.count == 51 && ids.contains("late"))
        }
    }

    @Test(
        "N47: an enqueue at any isolation is enqueued, a duplicate or 40001, and never a wrong answer",
        arguments: [LibPQSession.Isolation.readCommitted, .repeatableRead, .serializable]
    )
    func isolationLevels(isolation: LibPQSession.Isolation) async throws {
        try await withStore { store, fixture in
            _ = try await store.enqueue([record("existing")])
            let isSnapshot = isolation != .readCommitted
            // An id that exists and is visible, another payload and a new id.
            try await fixture.admin.withSession { session in
                try await session.withTransaction(isolation: isolation) {
                    let results = try await store.enqueue(
                        [record("existing"), record("new"), record("new"), record("new", [2])],
                        in: session
                    )
                    #expect(results == [.duplicate, .enqueued, .duplicate, .taken(by: .pending)])
                    #expect(try await store.enqueue([record("existing", [2])], in: session) == [.taken(by: .pending)])
                }
            }
            // An id that exists and is invisible to the snapshot.
            let invisible = await Result { () async throws -> [EnqueueResult] in
                try await fixture.admin.withSession { session in
                    try await session.withTransaction(isolation: isolation) {
                        try await session.run("SELECT 1 FROM \(fixture.schema).record")
                        _ = try await store.enqueue([record("invisible")])
                        return try await store.enqueue([record("invisible")], in: session)
                    }
                }
            }
            // An id of an open transaction that commits while the second one waits.
            let uncommitted = await Result { () async throws -> [EnqueueResult] in
                try await fixture.admin.withSession { first in
                    try await first.run("BEGIN")
                    _ = try await store.enqueue([record("uncommitted")], in: first)
                    let second = Task {
                        try await fixture.admin.withSession { session in
                            try await session.withTransaction(isolation: isolation) {
                                try await store.enqueue([record("uncommitted")], in: session)
                            }
                        }
                    }
                    try await eventually("the second transaction waits") {
                        try await fixture.admin.text(
                            "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
                        ) != "0"
                    }
                    try await first.run("COMMIT")
                    return try await second.value
                }
            }
            for result in [invisible, uncommitted] {
                switch result {
                case .success(let results): #expect(!isSnapshot && results == [.duplicate])
                case .failure(let error):
                    #expect(isSnapshot && (error as? StoreError)?.explanation.contains("40001") == true, "\(error)")
                }
            }
            #expect(try await store.counts("q").pending == 4)
        }
    }

    @Test(
        "N47: an id whose record was removed after the snapshot is enqueued once",
        arguments: [LibPQSession.Isolation.readCommitted, .repeatableRead, .serializable]
    )
    func removedRecords(isolation: LibPQSession.Isolation) async throws {
        try await withStore { store, fixture in
            _ = try await store.enqueue([record("b", [1])])
            let claims = try await store.claim("q", limit: 1, lease: .seconds(60))
            try await fixture.admin.withSession { session in
                try await session.withTransaction(isolation: isolation) {
                    try await session.run("SELECT 1 FROM \(fixture.schema).record")
                    _ = try await store.settle(claims.map { Settlement($0, .done) })
                    let results = try await store.enqueue([record("a"), record("b", [2]), record("c")], in: session)
                    #expect(results == [.enqueued, .enqueued, .enqueued])
                    #expect(try await store.enqueue([record("b", [2])], in: session) == [.duplicate])
                    #expect(try await store.enqueue([record("b", [1])], in: session) == [.taken(by: .pending)])
                }
            }
            #expect(try await store.counts("q").pending == 3)
        }
    }

    @Test("a failed statement rolls the transaction back, although the caller ignores its answer")
    func failedStatements() async throws {
        try await withStore { store, fixture in
            await #expect(throws: StoreError.self) {
                try await fixture.admin.withSession { session in
                    try await session.withTransaction {
                        _ = try await store.enqueue([record("a")], in: session)
                        _ = try await session.query("SELECT 1 / 0", [], limit: .seconds(1))
                    }
                }
            }
            let counts = try await store.counts("q")
            #expect(counts.pending == 0)
        }
    }

    @Test("the settings of a session do not reach the next caller")
    func sessionState() async throws {
        let fixture = try await StoreFixture()
        let transport = try LibPQTransport(fixture.server.address(), configuration: .init(maxConnections: 1))
        try await transport.withSession { session in
            try await session.run("SET search_path = 'nowhere'")
            try await session.run("BEGIN")
        }
        try await transport.withSession { try await $0.run("SET search_path = 'nowhere'") }
        #expect(try await transport.text("SELECT current_setting('search_path')") != "nowhere")
        await transport.close()
        try await fixture.close()
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
#endif

#if LibPQ
import Foundation
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityPostgres
import ReliabilityStore
import ReliabilityTesting
import Testing

@Suite(
    "LibPQTransport",
    .serialized,
    .serverTurn,
    .timeLimit(.minutes(10)),
    .enabled(if: PostgresServer.isEnabled)
)
struct PoolTests {
    private func transport(_ count: Int) async throws -> LibPQTransport {
        try await #require(PostgresServer.shared).connect(.init(maxConnections: count, serverLimits: nil))
    }

    private func number(_ value: Int32) -> PostgresValue {
        PostgresValue(type: 23, bytes: (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) })
    }

    @Test(
        "N30: calls wait in the order of their arrival, a cancelled wait ends promptly, and the wait counts towards the limit"
    )
    func waiting() async throws {
        let transport = try await transport(1)
        let finished = EventRecorder<Int>()
        let first = Task { try await transport.query("SELECT pg_sleep(0.6)", [], limit: .seconds(5)) }
        try await eventually("the first call runs") { try await isSleeping("0.6") }
        var calls: [Task<Void, Never>] = []
        for index in 0..<8 {
            // The tasks start in place on Linux, so they arrive in this order.
            calls.append(
                startTask {
                    _ = try? await transport.query("SELECT 1", [], limit: .seconds(5))
                    finished.record(index)
                }
            )
        }
        for index in [1, 3, 5] { calls[index].cancel() }
        #expect(await Set(finished.wait(for: 3)) == [1, 3, 5])
        let start = ContinuousClock.now
        await #expect(throws: ConnectionFailure.self) {
            try await transport.query("SELECT 1", [], limit: .milliseconds(100))
        }
        #expect(ContinuousClock.now - start < .seconds(1))
        _ = try await first.value
        #expect(await Array(finished.wait(for: 8).dropFirst(3)) == [0, 2, 4, 6, 7])
        await transport.close()
    }

    private func isSleeping(_ time: String) async throws -> Bool {
        let admin = try await transport(1)
        let count = try await admin.text(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(\(time))%' AND state = 'active'"
        )
        await admin.close()
        return count == "1"
    }

    @Test("N17: a host that accepts connections and does not answer hides no other host")
    func stoppedHost() async throws {
        let server = try #require(PostgresServer.shared)
        try await server.waitUntilReady()
        let stopped = try PostgresServer()
        try await stopped.waitUntilReady()
        try stopped.signal(SIGSTOP)
        let transport = try LibPQTransport(
            "host=\(stopped.directory),\(server.directory) user=postgres dbname=postgres",
            configuration: .init(maxConnections: 2)
        )
        try await eventually("the second host answers", within: .seconds(5)) {
            (try? await transport.query("SELECT 1", [], limit: .milliseconds(500)))?.rows.count == 1
        }
        await transport.close()
        try stopped.signal(SIGCONT)
        stopped.stop()
    }

    @Test("time limits of the server that exceed its largest value are shortened")
    func largeServerLimits() async throws {
        let limit = Duration.seconds(1 << 40)
        let transport = try await #require(PostgresServer.shared).connect(
            .init(maxConnections: 1, serverLimits: .init(statement: limit, lock: limit, idleInTransaction: limit))
        )
        #expect(try await transport.text("current_setting('statement_timeout')") == "2147483647ms")
        await transport.close()
    }

    @Test("N31: a cancelled call harms no other call")
    func cancellation() async throws {
        let transport = try await transport(4)
        var random = SeededGenerator(seed: 31)
        let failures = await withTaskGroup(of: String?.self) { group in
            for index in 0..<400 {
                let isCancelled = Bool.random(using: &random)
                group.addTask {
                    let value = number(Int32(index))
                    let call = Task {
                        try await transport.query("SELECT $1::integer, pg_sleep(0.001)", [value], limit: .seconds(20))
                    }
                    if isCancelled { call.cancel() }
                    switch await call.result {
                    case .success(let reply):
                        return reply.rows.first?.first == value.bytes ? nil : "call \(index) got another answer"
                    case .failure(let error): return isCancelled ? nil : "call \(index): \(error)"
                    }
                }
            }
            return await group.reduce(into: [String]()) { if let failure = $1 { $0.append(failure) } }
        }
        #expect(failures == [], "seed 31")
        await transport.close()
    }

    @Test("N26: no call exceeds its limit: an absent server, and many callers on two connections")
    func limits() async throws {
        let absent = try LibPQTransport("host=/nowhere")
        var start = ContinuousClock.now
        let refused = await #expect(throws: ConnectionFailure.self) {
            try await absent.query("SELECT 1", [], limit: .seconds(3))
        }
        #expect(refused?.isSent == false && ContinuousClock.now - start < .seconds(1))
        await absent.close()
        let busy = try await transport(2)
        start = ContinuousClock.now
        let failed = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<500 {
                group.addTask { (try? await busy.query("SELECT pg_sleep(9)", [], limit: .milliseconds(500))) == nil }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(failed == 500 && ContinuousClock.now - start < .seconds(5))
        #expect(try await busy.text("SELECT 1") == "1")
        await busy.close()
    }

    @Test("a reply has the binary format, nulls and errors, and values of any length arrive")
    func replies() async throws {
        let transport = try await transport(1)
        let reply = try await transport.query("SELECT $1::integer, NULL, ''::bytea", [number(258)], limit: .seconds(5))
        #expect(reply.rows == [[[0, 0, 1, 2], nil, []]])
        let error = try await transport.query("SELECT 1 / $1::integer", [number(0)], limit: .seconds(5))
        #expect(error.sqlState == "22012" && error.rows == [])
        let large = [UInt8](repeating: 7, count: 8 << 20)
        let echo = try await transport.query("SELECT $1", [PostgresValue(type: 17, bytes: large)], limit: .seconds(20))
        #expect(echo.rows.first?.first == large)
        #expect(
            try await transport.query("SELECT $1", [PostgresValue(type: 17, bytes: nil)], limit: .seconds(5)).rows == [
                [nil]
            ]
        )
        await transport.close()
        let closed = await #expect(throws: ConnectionFailure.self) {
            try await transport.query("SELECT 1", [], limit: .seconds(1))
        }
        #expect(closed?.isSent == false)
    }

    @Test(
        "a connection prepares its statements, unless a pooler may stand before the server",
        arguments: [true, false]
    )
    func prepared(isDirect: Bool) async throws {
        let server = try #require(PostgresServer.shared)
        let transport = try await server.connect(.init(maxConnections: 1, serverLimits: isDirect ? .init() : nil))
        let count = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%$1 AS wanted'"
        for value in 1...3 as ClosedRange<Int32> {
            let reply = try await transport.query("SELECT $1 AS wanted", [number(value)], limit: .seconds(5))
            #expect(reply.rows == [[number(value).bytes]])
        }
        #expect(try await transport.text(count) == (isDirect ? "1" : "0"))
        // The same text with another type is another statement.
        let bytes = PostgresValue(type: 17, bytes: [7])
        #expect(try await transport.query("SELECT $1 AS wanted", [bytes], limit: .seconds(5)).rows == [[[7]]])
        #expect(try await transport.text(count) == (isDirect ? "2" : "0"))
        await transport.close()
    }

    @Test("a session of a user leaves no connection without its prepared statements")
    func preparedAfterSession() async throws {
        let transport = try await #require(PostgresServer.shared).connect(.init(maxConnections: 1))
        for _ in 0..<3 {
            #expect(try await transport.text("SELECT 1") == "1")
            try await transport.withSession { session in
                _ = try await session.query("DEALLOCATE ALL", [], limit: .seconds(5))
            }
        }
        await transport.close()
    }

    @Test("more different statements than a connection prepares are answered")
    func manyStatements() async throws {
        let transport = try await #require(PostgresServer.shared).connect(.init(maxConnections: 1))
        for number in 0..<200 { #expect(try await transport.text("SELECT \(number)") == "\(number)") }
        let count = try await transport.text("SELECT count(*) FROM pg_prepared_statements")
        #expect(try #require(Int(count)) <= 64)
        await transport.close()
    }

    @Test("an error during the commit is the answer of the statement, although its rows came first")
    func lateErrors() async throws {
        let transport = try await transport(1)
        try await transport.run("CREATE TABLE IF NOT EXISTS deferred_parent (id integer PRIMARY KEY)")
        try await transport.run(
            "CREATE TABLE IF NOT EXISTS deferred (id integer REFERENCES deferred_parent DEFERRABLE INITIALLY DEFERRED)"
        )
        let reply = try await transport.query("INSERT INTO deferred VALUES (1) RETURNING id", [], limit: .seconds(5))
        #expect(reply.sqlState == "23503" && reply.rows == [])
        await transport.close()
    }
}
#endif

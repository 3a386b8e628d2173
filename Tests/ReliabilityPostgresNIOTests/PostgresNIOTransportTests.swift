#if PostgresNIO && LibPQ
import Foundation
import Logging
import Outbox
import PostgresNIO
import ReliabilityCore
import ReliabilityPostgres
import ReliabilityStore
import Testing

@testable import ReliabilityPostgresNIO

@Suite("PostgresNIOTransport", .serialized, .enabled(if: PostgresServer.isEnabled))
struct PostgresNIOTransportTests {
    private struct Rollback: Error {}
    private static let bytea: UInt32 = 17
    private static let text: UInt32 = 25
    private let logger = Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() }

    private func connect(
        _ change: (inout PostgresClient.Configuration) -> Void = { _ in }
    ) async throws -> PostgresNIOTransport {
        try await #require(PostgresServer.shared).connectNIO(change)
    }

    private func failure(
        _ operation: () async throws(ConnectionFailure) -> PostgresReply
    ) async -> ConnectionFailure? {
        do throws(ConnectionFailure) {
            _ = try await operation()
            return nil
        } catch {
            return error
        }
    }

    /// Runs a body with a client that the program runs.
    private func withClient<Success>(
        _ body: (PostgresClient) async throws -> Success
    ) async throws -> Success {
        let client = PostgresClient(
            configuration: try #require(PostgresServer.shared).nioConfiguration,
            backgroundLogger: logger
        )
        let running = Task { await client.run() }
        defer { running.cancel() }
        return try await body(client)
    }

    @Test func argumentsAndRowsAreBinary() async throws {
        let transport = try await connect()
        let bytes = (0...255).map { UInt8($0) }
        let reply = try await transport.query(
            "SELECT $1::bytea, $2::bytea, 1::bigint",
            [PostgresValue(type: Self.bytea, bytes: bytes), PostgresValue(type: Self.bytea, bytes: nil)],
            limit: .seconds(20)
        )
        #expect(reply.rows == [[bytes, nil, [0, 0, 0, 0, 0, 0, 0, 1]]])
        #expect(reply.sqlState == nil)
        await transport.close()
    }

    @Test func anErrorOfTheServerIsAReplyAndTheConnectionRemains() async throws {
        let transport = try await connect { $0.options.maximumConnections = 1 }
        let reply = try await transport.query("SELECT 1/0", [], limit: .seconds(20))
        #expect(reply.sqlState == "22012")
        #expect(try await transport.query("SELECT 1", [], limit: .seconds(20)).rows == [[[0, 0, 0, 1]]])
        await transport.close()
    }

    @Test func theServerEndsAStatementBeforeTheClientDoes() async throws {
        let transport = try await connect { $0.options.additionalStartupParameters = [("statement_timeout", "100")] }
        let reply = try await transport.query("SELECT pg_sleep(5)", [], limit: .seconds(20))
        #expect(reply.sqlState == "57014")
        let isolation = try await transport.query("SHOW default_transaction_isolation", [], limit: .seconds(20))
        #expect(isolation.rows == [[Array("read committed".utf8)]])
        await transport.close()
    }

    @Test func aStatementWithoutAnAnswerIsSentAndEndsAtTheLimit() async throws {
        let transport = try await connect { $0.options.maximumConnections = 1 }
        // The connection is open before the limit counts.
        _ = try await transport.query("SELECT 1", [], limit: .seconds(10))
        let failure = await failure { () async throws(ConnectionFailure) in
            try await transport.query("SELECT pg_sleep(20)", [], limit: .seconds(1))
        }
        #expect(failure?.isSent == true)
        // The connection of the late answer is closed, so the next statement gets its own answer.
        #expect(try await transport.query("SELECT 7", [], limit: .seconds(20)).rows == [[[0, 0, 0, 7]]])
        await transport.close()
    }

    @Test func aWaitForAConnectionCountsAndIsNotSent() async throws {
        let transport = try await connect { $0.options.maximumConnections = 1 }
        _ = try await transport.query("SELECT 1", [], limit: .seconds(10))
        // The task starts in place on Linux and leases the connection.
        let slow = startTask { try? await transport.query("SELECT pg_sleep(1)", [], limit: .seconds(10)) }
        try await Task.sleep(for: .milliseconds(200))
        let failure = await failure { () async throws(ConnectionFailure) in
            try await transport.query("SELECT 1", [], limit: .milliseconds(100))
        }
        #expect(failure?.isSent == false)
        let reply = await slow.value
        #expect(reply != nil && reply?.sqlState == nil)
        await transport.close()
    }

    @Test func aServerThatIsDownIsNotSent() async throws {
        let configuration = PostgresClient.Configuration(
            unixSocketPath: "/tmp/no-server-\(UUID().uuidString)",
            username: "postgres",
            password: nil,
            database: nil
        )
        let transport = PostgresNIOTransport.connect(configuration)
        let failure = await failure { () async throws(ConnectionFailure) in
            try await transport.query("SELECT 1", [], limit: .milliseconds(200))
        }
        #expect(failure?.isSent == false)
        await transport.close()
        let closed = await self.failure { () async throws(ConnectionFailure) in
            try await transport.query("SELECT 1", [], limit: .seconds(20))
        }
        #expect(closed?.isSent == false)
    }

    @Test func aCancelledCallEndsPromptlyAndHarmsNoOtherCall() async throws {
        let transport = try await connect { $0.options.maximumConnections = 4 }
        let calls = (0..<40).map { index in
            Task {
                await failure { () async throws(ConnectionFailure) in
                    let reply = try await transport.query(
                        "SELECT $1::text FROM pg_sleep(0.02)",
                        [PostgresValue(type: Self.text, bytes: Array("\(index)".utf8))],
                        limit: .seconds(10)
                    )
                    #expect(reply.rows == [[Array("\(index)".utf8)]])
                    return reply
                }
            }
        }
        for index in stride(from: 0, to: 40, by: 2) { calls[index].cancel() }
        for index in stride(from: 1, to: 40, by: 2) {
            let failure = await calls[index].value
            #expect(failure == nil, "\(String(describing: failure))")
        }
        await transport.close()
    }

    // MARK: Transactions of the program

    private func withOutbox(_ body: (OutboxQueue, PostgresClient) async throws -> Void) async throws {
        let schema = try await NIOSchema()
        try await withClient { client in
            let store = try await PostgresStore(.init(schema: schema.name)) { PostgresNIOTransport(client) }
            defer { store.close() }
            try await body(OutboxQueue("orders", store: store, storeFailure: .failClosed()), client)
        }
        try await schema.drop()
    }

    private func transactionError(
        _ client: PostgresClient,
        _ body: (PostgresConnection) async throws -> Void
    ) async -> PostgresTransactionError? {
        do {
            try await client.withTransaction(logger: logger) { try await body($0) }
            return nil
        } catch {
            return error as? PostgresTransactionError
        }
    }

    @Test func aMessageIsStoredWithTheCommit() async throws {
        try await withOutbox { outbox, client in
            try await client.withTransaction(logger: logger) { connection in
                try await outbox.send([OutboxMessage(id: "a", topic: "t", payload: [1])], in: connection)
                #expect(try await outbox.counts().pending == 0)
            }
            #expect(try await outbox.counts().pending == 1)
        }
    }

    @Test func aRollbackTakesTheMessageBack() async throws {
        try await withOutbox { outbox, client in
            let error = await transactionError(client) { connection in
                try await outbox.send([OutboxMessage(id: "a", topic: "t", payload: [1])], in: connection)
                throw Rollback()
            }
            #expect(error?.closureError is Rollback)
            let pending = try await outbox.counts().pending
            #expect(pending == 0)
        }
    }

    @Test func aTakenIdentityIsAConflict() async throws {
        try await withOutbox { outbox, client in
            try await client.withTransaction(logger: logger) { connection in
                try await outbox.send([OutboxMessage(id: "a", topic: "t", payload: [1])], in: connection)
            }
            let error = await transactionError(client) { connection in
                try await outbox.send([OutboxMessage(id: "a", topic: "t", payload: [2])], in: connection)
            }
            #expect((error?.closureError as? OutboxConflict)?.messageID == "a")
        }
    }
}
#endif

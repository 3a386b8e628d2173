#if GRDB
import Dedup
import Foundation
import GRDB
import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import ReliabilityGRDB

@Suite("Transactions of the program with the store")
struct GRDBTransactionTests {
    private struct Rollback: Error {}

    private let fixture: GRDBFixture
    private let clock = ManualClock()
    private let pool: DatabasePool
    private let store: GRDBStore
    private let outbox: OutboxQueue
    private let dedup: Deduplicator

    init() async throws {
        fixture = try GRDBFixture(clock)
        pool = try fixture.open()
        store = try await GRDBStore(pool, clock: fixture.clock)
        outbox = OutboxQueue("orders", store: store, storeFailure: .failClosed())
        dedup = Deduplicator(
            .replay(retention: .seconds(60)),
            keyspace: "charges",
            store: store,
            storeFailure: .failClosed()
        )
    }

    private func message(_ id: String, _ payload: [UInt8] = [1]) -> OutboxMessage {
        OutboxMessage(id: id, topic: "order.placed", payload: payload)
    }

    // MARK: Outbox

    @Test func aMessageIsStoredWithTheRowsOfTheProgram() async throws {
        try await pool.write { [outbox, message] db in
            try db.insertOrder("a")
            try outbox.send(message("a", [1]), in: db)
        }
        #expect(try await outbox.counts().pending == 1)
        #expect(try await pool.read { try $0.orders } == ["a"])
    }

    @Test func aRollbackTakesTheMessageBack() async throws {
        await #expect(throws: Rollback.self) {
            try await pool.write { [outbox, message] db in
                try db.insertOrder("a")
                try outbox.send(message("a", [1]), in: db)
                throw Rollback()
            }
        }
        #expect(try await outbox.counts().pending == 0)
        #expect(try await pool.read { try $0.orders }.isEmpty)
    }

    @Test func aTakenIdentityChangesNothingAndTheTransactionCanContinue() async throws {
        try await pool.write { [outbox, message] db in try outbox.send(message("a", [1]), in: db) }
        try await pool.write { [outbox, message] db in
            #expect(throws: OutboxConflict.self) {
                try outbox.send([message("b", [1]), message("a", [2])], in: db)
            }
            try db.insertOrder("c")
        }
        #expect(try await outbox.counts().pending == 1)
        #expect(try await pool.read { try $0.orders } == ["c"])
    }

    @Test func aRelayIsWokenByTheCommitAndDeliversOnce() async throws {
        let delivered = AsyncStream.makeStream(of: String.self)
        let relay = OutboxRelay(.init(pollInterval: .seconds(3600)), queue: outbox) { delivery in
            delivered.continuation.yield(delivery.message.id)
        }
        let running = Task { await relay.run() }
        var ids = delivered.stream.makeAsyncIterator()
        for id in ["a", "b", "c"] {
            try await pool.write { [outbox, message] db in
                try db.insertOrder(id)
                try outbox.send(message(id, [1]), in: db)
            }
            #expect(await ids.next() == id)
        }
        await relay.drain(within: .seconds(10))
        await running.value
        #expect(try await outbox.counts().pending == 0)
    }

    @Test func aConnectionWithoutATransactionIsRejected() async throws {
        try await pool.writeWithoutTransaction { [outbox, message] db -> Void in
            #expect(throws: StoreError.self) { try outbox.send(message("a", [1]), in: db) }
        }
        #expect(try await outbox.counts().pending == 0)
    }

    @Test func aQueueInAnotherStoreIsRejected() async throws {
        let other = OutboxQueue("orders", store: InMemoryStore(), storeFailure: .failClosed())
        try await pool.write { [message] db -> Void in
            #expect(throws: StoreError.self) { try other.send(message("a", [1]), in: db) }
        }
    }

    // MARK: Idempotency

    private func charge(_ order: String, key: String, fingerprint: [UInt8]? = nil) async throws -> DedupResult<String> {
        try await pool.write { [dedup] db in
            try dedup.run("charge", [key], fingerprint: fingerprint, in: db) { _ in
                try db.insertOrder(order)
                return "receipt of \(order)"
            }
        }
    }

    @Test func aSecondCallReceivesTheFirstResult() async throws {
        let first = try await charge("a", key: "k")
        let second = try await charge("b", key: "k")
        #expect(!first.isReplay)
        #expect(second.isReplay && second.value == "receipt of a")
        #expect(try await pool.read { try $0.orders } == ["a"])
    }

    @Test func aResultEndsWithItsRetention() async throws {
        _ = try await charge("a", key: "k")
        clock.advance(by: .seconds(60))
        #expect(try await !charge("b", key: "k").isReplay)
    }

    @Test func anotherFingerprintIsRejected() async throws {
        _ = try await charge("a", key: "k", fingerprint: [1])
        await #expect { try await charge("b", key: "k", fingerprint: [2]) } throws: { error in
            (error as? DedupError)?.reason == .mismatch
        }
        #expect(try await pool.read { try $0.orders } == ["a"])
    }

    @Test func anOperationThatThrowsLeavesNothing() async throws {
        try await pool.write { [dedup] db -> Void in
            #expect(throws: Rollback.self) {
                _ = try dedup.run("charge", ["k"], in: db) { _ -> String in
                    try db.insertOrder("a")
                    throw Rollback()
                }
            }
        }
        #expect(try await pool.read { try $0.orders }.isEmpty)
        #expect(try await !charge("b", key: "k").isReplay)
    }

    @Test func aRollbackTakesTheResultBack() async throws {
        await #expect(throws: Rollback.self) {
            try await pool.write { [dedup] db in
                _ = try dedup.run("charge", ["k"], in: db) { _ in "receipt" }
                throw Rollback()
            }
        }
        #expect(try await !charge("b", key: "k").isReplay)
    }

    @Test func callsInsideAndOutsideOfTransactionsRecognizeEachOther() async throws {
        _ = try await charge("a", key: "inside")
        let outside = try await dedup.run("charge", ["inside"]) { _ in "never" }
        #expect(outside.isReplay && outside.value == "receipt of a")
        _ = try await dedup.run("charge", ["outside"]) { _ in "first" }
        let inside = try await charge("b", key: "outside")
        #expect(inside.isReplay && inside.value == "first")
    }

    @Test func aCallInsideIsRejectedWhileACallOutsideRuns() async throws {
        let result = try await dedup.run("charge", ["k"]) { _ in
            await #expect { try await charge("a", key: "k") } throws: { error in
                if case .inProgress = (error as? DedupError)?.reason { true } else { false }
            }
            return "first"
        }
        #expect(!result.isReplay)
    }

    @Test func aRollbackToASavepointTakesTheMessageAndTheResultBack() async throws {
        try await pool.write { [dedup, outbox, message] db in
            try db.insertOrder("a")
            try db.inSavepoint {
                _ = try dedup.run("charge", ["k"], in: db) { _ in "first" }
                try outbox.send(message("m", [1]), in: db)
                return .rollback
            }
            let second = try dedup.run("charge", ["k"], in: db) { _ in "second" }
            #expect(!second.isReplay && second.value == "second")
            try outbox.send(message("m", [2]), in: db)
        }
        #expect(try await outbox.counts().pending == 1)
        let replay = try await dedup.run("charge", ["k"]) { _ in "never" }
        #expect(replay.isReplay && replay.value == "second")
    }

    @Test func theMessageAndTheResultAreOneStep() async throws {
        for _ in 0..<2 {
            try await pool.write { [dedup, outbox, message] db in
                _ = try dedup.run("charge", ["k"], in: db) { _ in
                    try db.insertOrder("a")
                    try outbox.send(message("charged", [1]), in: db)
                    return "receipt"
                }
            }
        }
        #expect(try await outbox.counts().pending == 1)
    }
}
#endif

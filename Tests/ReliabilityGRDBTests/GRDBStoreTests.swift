#if GRDB
import Foundation
import GRDB
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Synchronization
import Testing

@testable import ReliabilityGRDB

@Suite("GRDBStore")
struct GRDBStoreTests {
    private func write(_ store: GRDBStore, _ name: String) async throws(StoreError) -> StoreVersion? {
        switch try await store.commit(.put(StoreKey("s", name), [1], .never, if: .any)) {
        case .committed(let version): version
        case .conflict: nil
        }
    }

    @Test func durabilityIsReadFromTheDatabase() async throws {
        let fixture = try GRDBFixture(ManualClock())
        let pool = try fixture.open()
        #expect(try await GRDBStore(pool).capabilities.durability == .processCrash)
        try await pool.writeWithoutTransaction {
            try $0.execute(sql: "PRAGMA synchronous = FULL; PRAGMA fullfsync = 1")
        }
        #expect(try await GRDBStore(pool).capabilities.durability == .powerLoss)
        let memory = try DatabaseQueue()
        try await memory.write { try GRDBStore.createTables(in: $0) }
        #expect(try await GRDBStore(memory).capabilities.durability == .none)
    }

    @Test func missingTablesAreReported() async throws {
        let queue = try DatabaseQueue()
        await #expect { _ = try await GRDBStore(queue) } throws: { error in
            (error as? StoreError)?.reason == .failed && "\(error)".contains("migrations")
        }
    }

    @Test func creatingTheTablesAgainChangesNothing() async throws {
        let queue = try DatabaseQueue()
        try await queue.write { try GRDBStore.createTables(in: $0) }
        let store = try await GRDBStore(queue)
        let version = try await write(store, "a")
        try await queue.write { try GRDBStore.createTables(in: $0) }
        #expect(try await store.get(StoreKey("s", "a"))?.version == version)
    }

    @Test func aSmallStepOfTheClockBackStopsTimeAndALargeStepIsFollowed() async throws {
        let time = Mutex<Int64>(1_800_000_000_000_000_000)
        let queue = try DatabaseQueue()
        try await queue.write { try GRDBStore.createTables(in: $0) }
        let store = try await GRDBStore(queue, clock: WallClock { time.withLock { $0 } })
        let key = StoreKey("s", "k")
        let first = try await store.commit(.put(key, [1], .after(.seconds(10)), if: .any))
        time.withLock { $0 -= 500_000_000 }
        #expect(try await store.get(key)?.remaining == .seconds(10))
        time.withLock { $0 -= 3_600_000_000_000 }
        #expect(try await store.get(key)?.remaining == .seconds(10) + .milliseconds(3_600_500))
        let second = try await store.commit(.put(key, [2], .after(.seconds(10)), if: .any))
        guard case .committed(let old?) = first, case .committed(let new?) = second else {
            return #expect(Bool(false), "no version")
        }
        #expect(old < new)
    }

    @Test func aBusyDatabaseIsUnavailable() async throws {
        let fixture = try GRDBFixture(ManualClock())
        let (first, second) = (try fixture.open { $0.busyMode = .immediateError }, try fixture.open())
        let store = try await GRDBStore(first)
        try await second.write { db in
            try db.insertOrder("holds the lock")
            let done = DispatchSemaphore(value: 0)
            let reason = Mutex<StoreError.Reason?>(nil)
            Task.detached {
                do throws(StoreError) { _ = try await write(store, "a") } catch {
                    reason.withLock { $0 = error.reason }
                }
                done.signal()
            }
            done.wait()
            #expect(reason.withLock { $0 } == .unavailable)
        }
        #expect(try await write(store, "a") != nil)
    }

    @Test func aFullDatabaseIsDiskFullAndReadsContinue() async throws {
        let queue = try DatabaseQueue()
        try await queue.write { try GRDBStore.createTables(in: $0) }
        let store = try await GRDBStore(queue)
        _ = try await write(store, "a")
        try await queue.write { db in
            let count = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
            try db.execute(sql: "PRAGMA max_page_count = \(count)")
        }
        await #expect {
            _ = try await store.enqueue([NewRecord(queue: "q", id: "1", payload: Array(repeating: 1, count: 100_000))])
        } throws: { error in
            (error as? StoreError)?.reason == .diskFull
        }
        #expect(try await store.get(StoreKey("s", "a")) != nil)
        #expect(try await store.counts("q").pending == 0)
    }

    @Test func aClosedDatabaseIsReported() async throws {
        let fixture = try GRDBFixture(ManualClock())
        let pool = try fixture.open()
        let store = try await GRDBStore(pool)
        try pool.close()
        await #expect { _ = try await write(store, "a") } throws: { error in
            (error as? StoreError)?.reason == .closed
        }
    }

    @Test func aWriteThatWaitsForTheDatabaseIsCancelledWithoutAnEffect() async throws {
        let queue = try DatabaseQueue()
        try await queue.write { try GRDBStore.createTables(in: $0) }
        let store = try await GRDBStore(queue)
        let call = Mutex<Task<StoreError.Reason?, Never>?>(nil)
        try await queue.write { _ in
            let started = DispatchSemaphore(value: 0)
            let task = Task.detached { () -> StoreError.Reason? in
                started.signal()
                do throws(StoreError) {
                    _ = try await write(store, "a")
                    return nil
                } catch {
                    return error.reason
                }
            }
            started.wait()
            task.cancel()
            call.withLock { $0 = task }
        }
        let task = call.withLock { $0 }
        #expect(await task?.value == .cancelled)
        #expect(try await store.get(StoreKey("s", "a")) == nil)
    }

    @Test func expiredEntriesAreRemovedByLaterWrites() async throws {
        let clock = ManualClock()
        let fixture = try GRDBFixture(clock)
        let pool = try fixture.open()
        let store = try await GRDBStore(pool, clock: fixture.clock)
        for index in 0..<20 {
            _ = try await store.commit(.put(StoreKey("s", "\(index)"), [1], .after(.seconds(1)), if: .any))
        }
        clock.advance(by: .seconds(1))
        for _ in 0..<2 { _ = try await write(store, "kept") }
        let count = try await pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM reliability_entry") }
        #expect(count == 1)
    }
}
#endif

#if GRDB
import Foundation
import GRDB
import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@testable import ReliabilityGRDB

@Suite("GRDBStore conformance")
struct GRDBConformanceTests {
    private struct Opened: Sendable {
        let fixture: GRDBFixture
        let pool: DatabasePool
    }

    private static let opened = Lock<[ObjectIdentifier: Opened]>([:])

    static let conformance = StoreConformance(
        of: GRDBStore.self,
        seeds: 5,
        reopen: { store, _ in
            let fixture = try close(store)
            return try await open(fixture)
        },
        crash: { store, _ in
            let copy = try #require(opened.withLock { $0[ObjectIdentifier(store)] }?.fixture).killed()
            _ = try close(store)
            return try await open(copy)
        },
        secondClient: { store, _ in
            // Processes on one machine have the same clock.
            try await open(try #require(opened.withLock { $0[ObjectIdentifier(store)] }?.fixture))
        },
        close: { store in _ = try close(store) },
        makeStore: { clock in try await open(GRDBFixture(clock)) }
    )

    private static func open(_ fixture: GRDBFixture) async throws -> GRDBStore {
        let pool = try fixture.open()
        let store = try await GRDBStore(pool, clock: fixture.clock)
        opened.withLock { $0[ObjectIdentifier(store)] = Opened(fixture: fixture, pool: pool) }
        return store
    }

    private static func close(_ store: GRDBStore) throws -> GRDBFixture {
        let opened = try #require(Self.opened.withLock { $0.removeValue(forKey: ObjectIdentifier(store)) })
        try opened.pool.close()
        return opened.fixture
    }

    @Test(arguments: conformance.applicableChecks)
    func conforms(to check: StoreConformance.Check) async throws {
        try await Self.conformance.run(check)
    }
}
#endif

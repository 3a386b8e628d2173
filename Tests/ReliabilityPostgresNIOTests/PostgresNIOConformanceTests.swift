#if PostgresNIO && LibPQ
import Foundation
import ReliabilityCore
import ReliabilityPostgres
import ReliabilityStore
import ReliabilityStoreTesting
import Testing

@testable import ReliabilityPostgresNIO

@Suite("PostgresStore conformance through PostgresNIO", .serialized, .enabled(if: PostgresServer.isEnabled))
struct PostgresNIOConformanceTests {
    private static let schemas = Lock<[ObjectIdentifier: NIOSchema]>([:])

    static let conformance = StoreConformance(
        of: PostgresStore.self,
        seeds: 3,
        advance: { try await Task.sleep(for: $0) },
        reopen: { store, _ in
            let schema = try schema(of: store)
            store.close()
            return try await open(schema)
        },
        secondClient: { store, _ in try await open(try schema(of: store)) },
        close: { store in
            let schema = schemas.withLock { $0.removeValue(forKey: ObjectIdentifier(store)) }
            store.close()
            // The schema of a second client is removed already.
            try? await schema?.drop()
        },
        makeStore: { _ in try await open(try await NIOSchema()) }
    )

    private static func schema(of store: PostgresStore) throws -> NIOSchema {
        try #require(schemas.withLock { $0[ObjectIdentifier(store)] })
    }

    private static func open(_ schema: NIOSchema) async throws -> PostgresStore {
        let store = try await schema.store()
        schemas.withLock { $0[ObjectIdentifier(store)] = schema }
        return store
    }

    @Test("a store over PostgresNIO passes the conformance checks", arguments: conformance.applicableChecks)
    func conforms(to check: StoreConformance.Check) async throws {
        try await Self.conformance.run(check)
    }
}
#endif

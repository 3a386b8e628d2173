import Foundation
import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import Testing

@testable import ReliabilityRedis

@Suite("RedisStore conformance", .enabled(if: RedisServer.isInstalled))
struct RedisConformanceTests {
    static let conformance = StoreConformance(
        of: RedisStore.self,
        seeds: 3,
        advance: { try await Task.sleep(for: $0) },
        secondClient: { store, _ in try await RedisServer.shared.get().store(store.name) },
        close: { store in store.close() },
        makeStore: { _ in try await RedisServer.shared.get().store() }
    )

    @Test("a store on a server passes the conformance checks", arguments: conformance.applicableChecks)
    func conforms(to check: StoreConformance.Check) async throws {
        try await Self.conformance.run(check)
    }
}

extension RedisStore {
    /// The name of the store, by which other clients find the store.
    var name: String { configuration.name }
}

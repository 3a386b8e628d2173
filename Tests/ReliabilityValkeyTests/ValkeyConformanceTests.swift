#if Valkey
import Foundation
import ReliabilityStore
import ReliabilityStoreTesting
import Testing
import Valkey

@testable import ReliabilityRedis
@testable import ReliabilityValkey

@Suite("RedisStore conformance through valkey-swift", .serialized, .enabled(if: RedisServer.isEnabled))
struct ValkeyConformanceTests {
    static let conformance = StoreConformance(
        of: RedisStore.self,
        seeds: 3,
        advance: { try await Task.sleep(for: $0) },
        reopen: { store, _ in
            store.close()
            return try await open(store.configuration.name)
        },
        secondClient: { store, _ in try await open(store.configuration.name) },
        close: { store in store.close() },
        makeStore: { _ in try await open(UUID().uuidString) }
    )

    private static func open(_ name: String) async throws -> RedisStore {
        let address = ValkeyServerAddress.unixDomainSocket(path: try RedisServer.shared.get().socketPath)
        return try await RedisStore(.init(name: name)) { ValkeyTransport.connect(to: address) }
    }

    @Test("a store over valkey-swift passes the conformance checks", arguments: conformance.applicableChecks)
    func conforms(to check: StoreConformance.Check) async throws {
        try await Self.conformance.run(check)
    }
}
#endif

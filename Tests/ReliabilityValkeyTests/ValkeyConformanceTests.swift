#if Valkey
import Foundation
import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import Testing
import Valkey

@testable import ReliabilityRedis
@testable import ReliabilityValkey

@Suite("RedisStore conformance through valkey-swift", .serialized, .enabled(if: ValkeyServer.path != nil))
struct ValkeyConformanceTests {
    private static let names = Lock<[ObjectIdentifier: String]>([:])

    static let conformance = StoreConformance(
        of: RedisStore.self,
        seeds: 3,
        advance: { try await Task.sleep(for: $0) },
        secondClient: { store, _ in
            let name = names.withLock { $0[ObjectIdentifier(store)] } ?? "none"
            return try await open(name)
        },
        close: { store in
            names.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(store)) }
            await store.close()
        },
        makeStore: { _ in try await open(UUID().uuidString) }
    )

    private static func open(_ name: String) async throws -> RedisStore {
        let server = try #require(ValkeyServer.shared)
        let transport = ValkeyTransport.connect(to: server.address)
        let store = try await RedisStore(transport, configuration: .init(name: name))
        names.withLock { $0[ObjectIdentifier(store)] = name }
        return store
    }

    @Test(arguments: conformance.applicableChecks)
    func conforms(to check: StoreConformance.Check) async throws {
        try await Self.conformance.run(check)
    }
}
#endif

import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import Dedup

@Suite("Deduplicator isolation")
struct DeduplicatorIsolationTests {
    actor Account {
        var balance = 0
        func deposit(_ dedup: Deduplicator, _ amount: Int) async throws -> Int {
            try await dedup.run("charge", ["ada", "k1"]) { _ in
                self.preconditionIsolated()
                balance += amount
            }
            return balance
        }
    }

    @Test("the operation runs on the caller's actor")
    func actorIsolated() async throws {
        let dedup = Deduplicator(.reject(), keyspace: "test", store: InMemoryStore(), storeFailure: .failClosed())
        let account = Account()
        #expect(try await account.deposit(dedup, 5) == 5)
        await #expect(throws: DedupError.self) { try await account.deposit(dedup, 5) }
        #expect(await account.balance == 5)
    }

    @Test("the operation runs on the main actor")
    @MainActor
    func mainActor() async throws {
        let dedup = Deduplicator(
            .replay(retention: nil),
            keyspace: "test",
            store: InMemoryStore(),
            storeFailure: .failClosed()
        )
        let result = try await dedup.run("charge", ["ada", "k1"]) { _ in
            MainActor.preconditionIsolated()
            return "main"
        }
        #expect(result.value == "main")
    }
}

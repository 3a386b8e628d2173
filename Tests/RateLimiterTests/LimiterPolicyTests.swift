import RateLimiter
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@Suite("LimiterPolicy")
struct LimiterPolicyTests {
    let limiter = Limiter(
        .fixedWindow(2, per: .seconds(60)),
        keyspace: "test",
        store: InMemoryStore(clock: ManualClock()),
        storeFailure: .failClosed()
    )

    actor Account {
        var balance = 0
        func deposit(_ policy: some CallPolicy) async throws -> Int {
            try await policy.run {
                self.preconditionIsolated()
                balance += 1
                return balance
            }
        }
    }

    @Test("the limiter decides before the call, for the policy's key")
    func decidesBefore() async throws {
        let policy = limiter.policy(for: ["user"])
        let account = Account()
        #expect(try await account.deposit(policy) == 1)
        #expect(try await account.deposit(policy) == 2)
        await #expect(throws: LimiterError.self) { try await account.deposit(policy) }
        #expect(await account.balance == 2)
        #expect(try await account.deposit(limiter.policy(for: ["other"], cost: 2)) == 3)
    }

    @Test("the call runs on the main actor with values that are not Sendable")
    @MainActor
    func mainActor() async throws {
        let box = NonSendableCounter()
        let result = try await limiter.policy(for: ["user"]).run {
            MainActor.preconditionIsolated()
            box.count += 1
            return box
        }
        #expect(result === box)
        #expect(box.count == 1)
    }

    @Test("an error of the call is thrown unchanged, and the call stays counted")
    func failing() async throws {
        await #expect(throws: TestError.self) { try await limiter.policy(for: ["user"]).run { throw TestError() } }
        #expect(try await limiter.tryConsume(["user"]).remaining == 0)
    }
}

import RateLimiter
import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import TestSupport
import Testing

@Suite("Limiter during store failures")
struct LimiterStoreFailureTests {
    let clock = ManualClock()
    let store: FaultInjectingStore
    let events = EventRecorder<LimiterEvent>()

    init() { store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock) }

    func limiter(_ policy: StoreFailureMode) -> Limiter {
        Limiter(
            .login,
            keyspace: "test",
            store: store,
            storeFailure: policy,
            clock: clock,
            observer: events.record
        )
    }

    @Test("with failOpen calls are allowed and marked as uncounted")
    func failOpen() async throws {
        store.outage = .reject(.unavailable)
        for _ in 0..<10 {
            let decision = try await limiter(.failOpen()).tryConsume(["user"])
            #expect(decision.isAllowed && decision.failedOpen)
        }
    }

    @Test("with failOpen a cost above the limit is rejected")
    func failOpenNeverSatisfiable() async {
        store.outage = .reject(.unavailable)
        await #expect(throws: LimiterError.self) { try await limiter(.failOpen()).tryConsume(["user"], cost: 6) }
    }

    @Test(
        "with failClosed every store error is reported as storeUnavailable",
        arguments: [
            StoreError.Reason.unavailable, .unknownOutcome, .diskFull, .capacityExceeded, .failed, .closed, .locked,
            .invalid, .corruption(file: "file", offset: 7),
        ]
    )
    func failClosed(reason: StoreError.Reason) async {
        store.outage = .reject(reason)
        let error = await #expect(throws: LimiterError.self) { try await limiter(.failClosed()).tryConsume(["user"]) }
        #expect(error?.code == "rate_limit.store_unavailable")
        #expect(error?.category == .unavailable)
        #expect((error?.underlyingError as? StoreError)?.reason == reason)
    }

    @Test("a lost answer is not retried, and the call counts once")
    func lostAnswer() async throws {
        let limiter = limiter(.failOpen())
        store.outage = .unknownOutcomeAfterApply
        #expect(try await limiter.tryConsume(["user"]).failedOpen)
        #expect(store.count(of: .update) == 1)
        store.outage = nil
        #expect(try await limiter.tryConsume(["user"]).remaining == 3)
    }

    @Test("a hanging store costs three timeouts")
    func hangs() async throws {
        let limiter = limiter(.failOpen(timeout: .seconds(2)))
        store.outage = .hang
        for _ in 0..<3 {
            let decision = Task { try await limiter.tryConsume(["user"]) }
            await clock.waitForSleepers(1)
            clock.advance(by: .seconds(2))
            #expect(try await decision.value.failedOpen)
        }
        #expect(try await limiter.tryConsume(["user"]).failedOpen)
        #expect(store.count(of: .update) == 3)
    }

    @Test("the limiter recovers by itself and reports one outage and one recovery")
    func recovers() async throws {
        let limiter = limiter(.failOpen())
        #expect(try await limiter.tryConsume(["user"]).remaining == 4)
        store.outage = .reject(.unavailable)
        for _ in 0..<20 { #expect(try await limiter.tryConsume(["user"]).failedOpen) }
        #expect(store.count(of: .update) == 4)
        store.outage = nil
        #expect(try await limiter.tryConsume(["user"]).failedOpen)
        clock.advance(by: .seconds(1))
        #expect(try await limiter.tryConsume(["user"]).remaining == 3)
        for _ in 0..<3 { #expect(try await limiter.tryConsume(["user"]).isAllowed) }
        #expect(!(try await limiter.tryConsume(["user"]).isAllowed))
        let seen = await events.wait(for: 3).map { event in
            switch event {
            case .limited(let decision): "limited, \(decision.remaining) left"
            case .storeDown(let error): "down: \(error.code)"
            case .storeRecovered: "back"
            case .missed(let count): "missed \(count)"
            }
        }
        #expect(seen == ["down: store.unavailable", "back", "limited, 0 left"])
    }

    @Test("a call that is cancelled while the store hangs gets a CancellationError immediately")
    func cancelledWhileHanging() async {
        let limiter = limiter(.failOpen(timeout: .seconds(2)))
        store.outage = .hang
        let decision = Task { try await limiter.tryConsume(["user"]) }
        await clock.waitForSleepers(1)
        decision.cancel()
        await #expect(throws: CancellationError.self) { try await decision.value }
        #expect(events.events.isEmpty)
    }

    @Test("a timeout of zero is invalid")
    func validation() async {
        #expect(
            problems(of: StoreFailureMode.failOpen(timeout: .zero).validate) == [
                "the timeout of a store call must be positive (is 0.0 seconds)"
            ]
        )
    }
}

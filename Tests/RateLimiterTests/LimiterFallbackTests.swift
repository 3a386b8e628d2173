import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@testable import RateLimiter

@Suite("Limiter with a local fallback")
struct LimiterFallbackTests {
    let clock = ManualClock()
    let store: FaultInjectingStore
    let events = EventRecorder<LimiterEvent>()

    init() { store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock) }

    func limiter(_ limit: Limiter.Configuration = .fixedWindow(10, per: .seconds(60)), share: Double = 0.3) -> Limiter {
        Limiter(
            limit,
            keyspace: "test",
            store: store,
            storeFailure: .localFallback(share: share),
            clock: clock,
            observer: events.record
        )
    }

    /// Ends an outage after which a call reaches the store.
    func endOutage() {
        store.outage = nil
        clock.advance(by: .seconds(1))
    }

    @Test("the share decides while the store is down, and the decision says so")
    func share() async throws {
        let limiter = limiter()
        #expect(try await limiter.tryConsume(["user"]).isLocal == false)
        store.outage = .failBefore
        for left in [2, 1, 0] {
            let decision = try await limiter.tryConsume(["user"])
            #expect(decision.isAllowed && decision.isLocal && !decision.failedOpen)
            #expect(decision.limit == 3 && decision.remaining == left && decision.period == .seconds(60))
        }
        clock.advance(by: .seconds(20))
        let denied = try await limiter.tryConsume(["user"])
        #expect(!denied.isAllowed && denied.isLocal && denied.retryAfter == .seconds(40))
        #expect(try await limiter.tryConsume(["other"]).isAllowed)
        #expect(limiter.allowedCount == 5)
    }

    @Test("the capacity of the share is rounded down and is at least 1")
    func rounding() async throws {
        store.outage = .failBefore
        for (count, share, capacity) in [(10, 0.39, 3), (10, 0.01, 1), (10, 1, 10), (1, 0.5, 1), (.max, 1, .max)] {
            let limiter = limiter(.fixedWindow(count, per: .seconds(60)), share: share)
            #expect(try await limiter.tryConsume(["user"]).limit == capacity)
        }
        for processes in 1...200 {
            let limit = Limiter.Configuration.gcra(98 * processes, per: .seconds(60), burst: 3 * processes)
            let limiter = limiter(limit, share: 1 / Double(processes))
            #expect(try await limiter.tryConsume(["user"]).limit == 3, "\(processes) processes")
        }
    }

    @Test("GCRA has the share of the rate")
    func rate() async throws {
        let limiter = limiter(.gcra(60, per: .seconds(60), burst: 8), share: 0.25)
        store.outage = .failBefore
        #expect(try await limiter.tryConsume(["user"], cost: 2).resetAfter == .seconds(8))
        #expect(try await limiter.tryConsume(["user"]).retryAfter == .seconds(4))
    }

    @Test("the store counts the calls of an outage with the next call of the key")
    func charges() async throws {
        let limiter = limiter()
        #expect(try await limiter.tryConsume(["user"]).remaining == 9)
        store.outage = .failBefore
        for _ in 0..<2 { #expect(try await limiter.tryConsume(["user"]).isAllowed) }
        store.outage = nil
        let requests = store.count(of: .update)
        let decision = try await limiter.tryConsume(["user"], cost: 2)
        #expect(decision.isAllowed && !decision.isLocal && decision.limit == 10 && decision.remaining == 5)
        #expect(store.count(of: .update) == requests + 2)
        // The calls are charged once.
        #expect(try await limiter.tryConsume(["user"]).remaining == 4)
        #expect(try await limiter.tryConsume(["other"]).remaining == 9)
        #expect(store.count(of: .update) == requests + 4)
    }

    @Test("calls that exceed the rest of the limit use up the rest")
    func chargesAtMostTheRest() async throws {
        let limiter = limiter()
        #expect(try await limiter.tryConsume(["user"], cost: 8).remaining == 2)
        store.outage = .failBefore
        #expect(try await limiter.tryConsume(["user"], cost: 3).isAllowed)
        clock.advance(by: .seconds(20))
        store.outage = nil
        let requests = store.count(of: .update)
        let decision = try await limiter.tryConsume(["user"])
        #expect(!decision.isAllowed && !decision.isLocal && decision.remaining == 0)
        #expect(decision.retryAfter == .seconds(40))
        #expect(store.count(of: .update) == requests + 3)
        clock.advance(by: .seconds(40))
        // A cut charge is not made up for later.
        #expect(try await limiter.tryConsume(["user"]).remaining == 9)
    }

    @Test("a denied call after an outage charges the calls of the outage")
    func chargeBeforeDenial() async throws {
        let limiter = limiter()
        store.outage = .failBefore
        #expect(try await limiter.tryConsume(["user"], cost: 3).isAllowed)
        store.outage = nil
        #expect(try await limiter.tryConsume(["user"], cost: 8).remaining == 7)
        #expect(try await limiter.tryConsume(["user"], cost: 7).isAllowed)
    }

    @Test("a charge does not exceed the range of a cost")
    func largeCosts() async throws {
        let limiter = limiter(.fixedWindow(.max, per: .seconds(60)), share: 1)
        store.outage = .failBefore
        #expect(try await limiter.tryConsume(["user"], cost: .max).isAllowed)
        store.outage = nil
        #expect(try await limiter.tryConsume(["user"], cost: .max).isAllowed == false)
    }

    @Test("the share lasts across outages and is available again after the period")
    func flapping() async throws {
        let limiter = limiter()
        for used in 1...20 {
            store.outage = .failBefore
            let decision = try await limiter.tryConsume(["user"])
            #expect(decision.isLocal && decision.isAllowed == (used <= 3))
            store.outage = nil
            // The store counts the calls of the share and of the store.
            #expect(try await limiter.tryConsume(["user"]).remaining == max(0, 10 - used - min(used, 3)))
        }
        clock.advance(by: .seconds(60))
        store.outage = .failBefore
        #expect(try await limiter.tryConsume(["user"]).remaining == 2)
    }

    @Test("calls of a long outage are charged as far as the store would still count them")
    func chargesDecay() async throws {
        let limiter = limiter(.gcra(60, per: .seconds(60), burst: 10), share: 0.5)
        store.outage = .failBefore
        for _ in 0..<100 {
            #expect(try await limiter.tryConsume(["slow"]).isAllowed)
            clock.advance(by: .seconds(2))
        }
        #expect(try await limiter.tryConsume(["slow"]).isAllowed)
        #expect(try await limiter.tryConsume(["fast"], cost: 5).isAllowed)
        clock.advance(by: .seconds(2))
        store.outage = nil
        #expect(try await limiter.tryConsume(["slow"]).remaining == 9)
        #expect(try await limiter.tryConsume(["fast"]).remaining == 6)
    }

    @Test(
        "a failed charge is made by a later call",
        arguments: [StoreFault.failBefore, .unknownOutcomeBeforeApply, .hang]
    )
    func failedCharge(fault: StoreFault) async throws {
        let limiter = limiter()
        store.outage = .failBefore
        #expect(try await limiter.tryConsume(["user"]).isLocal)
        store.outage = fault
        let call = Task { try await limiter.tryConsume(["user"]) }
        if fault == .hang {
            await clock.waitForSleepers(1)
            clock.advance(by: .seconds(3))
        }
        #expect(try await call.value.isLocal)
        endOutage()
        #expect(try await limiter.tryConsume(["user"]).remaining == 7)
    }

    @Test("calls of two windows are charged up to the whole limit")
    func chargesAtMostTheLimit() async throws {
        let limiter = limiter(share: 1)
        store.outage = .failBefore
        #expect(try await limiter.tryConsume(["user"]).isAllowed)
        clock.advance(by: .seconds(30))
        store.outage = nil
        #expect(try await limiter.tryConsume(["user"]).remaining == 8)
        clock.advance(by: .seconds(1))
        store.outage = .failBefore
        #expect(try await limiter.tryConsume(["user"], cost: 9).isAllowed)
        clock.advance(by: .seconds(29))
        #expect(try await limiter.tryConsume(["user"], cost: 10).isAllowed)
        // The window of the store has ended, and the charge opens the next window.
        clock.advance(by: .seconds(30))
        store.outage = nil
        #expect(try await limiter.tryConsume(["user"]).isAllowed == false)
    }

    @Test("a repeated charge is not rounded up again")
    func exactRestore() async throws {
        let limiter = limiter(.gcra(6, per: .seconds(60), burst: 10), share: 0.1)
        store.outage = .failBefore
        for second in 0..<10 {
            #expect(try await limiter.tryConsume(["user"]).isAllowed == (second == 0))
            clock.advance(by: .seconds(1))
        }
        store.outage = nil
        // The store would no longer count the call after 10 s.
        #expect(try await limiter.tryConsume(["user"]).remaining == 9)
    }

    @Test("a charge whose answer is lost is made again")
    func lostCharge() async throws {
        let limiter = limiter()
        store.outage = .failBefore
        #expect(try await limiter.tryConsume(["user"]).isLocal)
        store.outage = .unknownOutcomeAfterApply
        #expect(try await limiter.tryConsume(["user"]).isLocal)
        store.outage = nil
        // The store counted the first call of the share twice.
        #expect(try await limiter.tryConsume(["user"]).remaining == 6)
    }

    @Test("a call that is cancelled keeps the calls to charge")
    func cancelled() async throws {
        let limiter = limiter()
        store.outage = .failBefore
        #expect(try await limiter.tryConsume(["user"]).isLocal)
        store.outage = .hang
        let call = Task { try await limiter.tryConsume(["user"]) }
        await clock.waitForSleepers(1)
        call.cancel()
        await #expect(throws: CancellationError.self) { try await call.value }
        store.outage = nil
        #expect(try await limiter.tryConsume(["user"]).remaining == 8)
    }

    @Test("a cost above the share is rejected as unavailable")
    func costAboveShare() async throws {
        let limiter = limiter()
        store.outage = .failBefore
        let error = await #expect(throws: LimiterError.self) { try await limiter.tryConsume(["user"], cost: 4) }
        #expect(error?.code == "rate_limit.store_unavailable")
        #expect((error?.underlyingError as? StoreError)?.reason == .unavailable)
        #expect(try await limiter.tryConsume(["user"], cost: 3).isAllowed)
        endOutage()
        #expect(try await limiter.tryConsume(["user"], cost: 4).isAllowed)
    }

    @Test("a new key is rejected as unavailable if the memory for local limits is full")
    func fullMemory() async throws {
        let limiter = Limiter(
            .fixedWindow(10, per: .seconds(60)),
            keyspace: "test",
            store: store,
            storeFailure: .localFallback(share: 0.3),
            localMemory: InMemoryStore.Configuration(maxEntries: 15),
            clock: clock,
            observer: nil
        )
        store.outage = .failBefore
        for user in 0..<15 { #expect(try await limiter.tryConsume(["\(user)"]).remaining == 2) }
        let error = await #expect(throws: LimiterError.self) { try await limiter.tryConsume(["new"]) }
        #expect(error?.code == "rate_limit.store_unavailable")
        #expect((error?.underlyingError as? StoreError)?.reason == .capacityExceeded)
        #expect(try await limiter.tryConsume(["7"]).remaining == 1)
        clock.advance(by: .seconds(61))
        #expect(try await limiter.tryConsume(["new"]).isAllowed)
    }

    @Test("the outage, the local denials and the recovery are events")
    func eventsOfAnOutage() async throws {
        let limiter = limiter(share: 0.1)
        store.outage = .failBefore
        for _ in 0..<3 { _ = try await limiter.tryConsume(["user"]) }
        endOutage()
        _ = try await limiter.tryConsume(["user"])
        let seen = await events.wait(for: 4).map { event in
            switch event {
            case .limited(let decision): decision.isLocal ? "limited locally" : "limited"
            case .storeDown(let error): "down: \(error.code)"
            case .storeRecovered: "back"
            case .missed(let count): "missed \(count)"
            }
        }
        #expect(seen == ["down: store.unavailable", "limited locally", "limited locally", "back"])
    }

    @Test("the layer of a policy has the limit of a process")
    func layer() {
        let windows = limiter().policy(for: ["user"]).layers.map(\.summary)
        #expect(
            windows == [
                "10 calls in 60 s, for one key of test; limits each process to 3 calls in 60 s while its store is down"
            ]
        )
        let smooth = limiter(.gcra(10, per: .seconds(1)), share: 0.25).policy(for: ["user"]).layers.map(\.summary)
        #expect(smooth.first?.contains("limits each process to one call each 400 ms, bursts of 2 while") == true)
    }
}

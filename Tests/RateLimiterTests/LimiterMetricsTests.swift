import RateLimiter
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@Suite("Limiter metrics")
struct LimiterMetricsTests {
    @Test("allowed calls are counted, with and without the store")
    func allowedCount() async throws {
        let clock = ManualClock()
        let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
        let limiter = Limiter(
            .fixedWindow(2, per: .seconds(60)),
            keyspace: "test",
            store: store,
            storeFailure: .failOpen(),
            clock: clock
        )
        #expect(limiter.allowedCount == 0)
        for _ in 0..<5 { _ = try await limiter.tryConsume(["ann"]) }
        #expect(limiter.allowedCount == 2)
        await #expect(throws: LimiterError.self) { try await limiter.consume(["ann"]) }
        #expect(limiter.allowedCount == 2)
        store.outage = .failBefore
        let decision = try await limiter.tryConsume(["ann"])
        #expect(decision.isAllowed && decision.failedOpen)
        #expect(limiter.allowedCount == 3)
    }

    @Test("the period is in the configuration and in every decision")
    func period() async throws {
        let clock = ManualClock()
        let store = InMemoryStore(clock: clock)
        for configuration in [Limiter.Configuration.login, .gcra(10, per: .seconds(900), burst: 2)] {
            let limiter = Limiter(
                configuration,
                keyspace: Keyspace("\(configuration.algorithm)"),
                store: store,
                storeFailure: .failClosed(),
                clock: clock
            )
            #expect(limiter.configuration.period == .seconds(900))
            #expect(try await limiter.tryConsume(["ann"]).period == .seconds(900))
        }
        #expect(Limiter.Configuration.login.count == 5 && Limiter.Configuration.login.capacity == 5)
        #expect(Limiter.Configuration.gcra(10, per: .seconds(1)).capacity == 10)
    }
}

import RateLimiter
import ReliabilityStore
import TestSupport
import Testing

@Suite("Configuration of a local fallback")
struct LimiterFallbackConfigurationTests {
    @Test("an invalid share is rejected with its value")
    func validation() async {
        for share in [0, -1, 1.000001, .nan, .infinity] {
            #expect(
                problems(of: StoreFailureMode.localFallback(share: share).validate)
                    == ["the share of a local fallback must be above 0 and at most 1 (is \(share))"]
            )
        }
        for share in [Double.leastNonzeroMagnitude, 0.5, 1] {
            #expect(problems(of: StoreFailureMode.localFallback(share: share).validate) == [])
        }
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Limiter(.login, keyspace: "logins", store: InMemoryStore(), storeFailure: .localFallback(share: 2))
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("must be above 0 and at most 1 (is 2.0)"))
    }

    @Test("a share without a call in 100 years is rejected")
    func tinyShare() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Limiter(
                .gcra(1, per: .seconds(1)),
                keyspace: "mails",
                store: InMemoryStore(),
                storeFailure: .localFallback(share: 1e-300)
            )
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("share 1e-300 of limiter mails: burst must be available again within 100 years"))
    }
}

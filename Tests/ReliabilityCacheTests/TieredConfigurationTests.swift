import ReliabilityCore
import ReliabilityStore
import TestSupport
import Testing

@testable import ReliabilityCache

@Suite("TieredCacheConfiguration")
struct TieredConfigurationTests {
    @Test("validate() reports every problem with its value")
    func everyProblem() {
        let configuration = TieredCacheConfiguration(
            CacheConfiguration(timeToLive: .seconds(10), jitter: 2),
            localTimeToLive: .zero,
            maxTimeToLive: .seconds(5),
            lease: .zero,
            maxPendingInvalidations: 0
        )
        let problems = problems(of: configuration.validate)
        #expect(problems.count == 5)
        #expect(problems.contains("maxTimeToLive must be at least timeToLive, 10.0 seconds (is 5.0 seconds)"))
        #expect(problems.contains("cache: jitter must be from 0 to 1 (is 2.0)"))
    }

    @Test("the default configuration is valid, and its longest lifetime is a day or the lifetime")
    func defaults() {
        #expect(problems(of: TieredCacheConfiguration.expiring(after: .seconds(300)).validate) == [])
        #expect(TieredCacheConfiguration.expiring(after: .seconds(300)).maxTimeToLive == .seconds(86_400))
        let long = TieredCacheConfiguration.expiring(after: .seconds(1_000_000))
        #expect(long.maxTimeToLive == .seconds(1_000_000))
    }

    @Test("the longest durations saturate")
    func saturation() {
        let longest = Duration.seconds(Int64.max)
        let configuration = TieredCacheConfiguration(
            CacheConfiguration(timeToLive: longest, staleIfError: longest, loadTimeout: longest),
            localTimeToLive: longest,
            lease: longest
        )
        #expect(problems(of: configuration.validate) == [])
        #expect(configuration.tagLife == .max)
        #expect(configuration.explain().contains("tiered cache"))
    }

    @Test("a store failure mode with a local fallback ends the process")
    func localFallback() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = TierFixture().cache(Source(), storeFailure: .localFallback(share: 0.5))
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("must be failOpen or failClosed"))
    }
}

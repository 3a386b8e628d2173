import ReliabilityCore
import Testing

@testable import ReliabilityCache

@Suite("explain()")
struct ExplanationTests {
    @Test("a cache explains its lifetimes, its bounds and its worst case")
    func cache() {
        let configuration = CacheConfiguration(
            timeToLive: .seconds(300),
            staleWhileRevalidate: .seconds(30),
            staleIfError: .seconds(3600)
        )
        let text = """
            cache
              lifetime       5 min, at most 10.0 % less
              early refresh  in the background, on average 1.0 times the duration of a load before the end
              stale          30 s during a load, 1 h after a failed load, which is repeated after 10 s
              memory         10000 entries and 67108864 bytes
              loads          64 at the same time, 10000 wait
            At worst, a call waits for its load for 10 s.
            At worst, a value is served until 1 h 5 min after its load began.
            """
        #expect(configuration.explain() == text)
    }

    @Test("values that are rarely intended are warnings")
    func warnings() {
        let configuration = CacheConfiguration(
            timeToLive: .seconds(5),
            jitter: 0,
            earlyRefresh: .none,
            staleIfError: .seconds(10),
            maxWaitingLoads: 0
        )
        #expect(configuration.warnings.count == 3)
        #expect(
            configuration.explain().hasSuffix("Warning: a load above maxConcurrentLoads is rejected without a wait.")
        )
        #expect(CacheConfiguration.expiring(after: .seconds(300)).warnings == [])
    }

    @Test("a tiered cache explains the bound for edits of other processes")
    func tieredCache() {
        let text = TieredCacheConfiguration.expiring(after: .seconds(300)).explain()
        #expect(text.contains("copies         5 s in the memory of a process"))
        #expect(text.hasSuffix("a read sees an edit of another process after 5 s, or after 15 s if a load runs."))
    }
}

import ReliabilityCore
import TestSupport
import Testing

@testable import ReliabilityCache

@Suite("CacheConfiguration")
struct CacheConfigurationTests {
    @Test("validate() reports every problem with its value")
    func everyProblem() {
        let configuration = CacheConfiguration(
            timeToLive: .zero,
            jitter: 1.5,
            earlyRefresh: .probabilistic(beta: -1),
            staleWhileRevalidate: .seconds(-1),
            staleIfError: .seconds(-1),
            failureBackoff: .zero,
            maxCost: 0,
            maxEntries: 0,
            maxConcurrentLoads: 0,
            maxWaitingLoads: -1,
            loadTimeout: .zero
        )
        let problems = problems(of: configuration.validate)
        #expect(problems.count == 11)
        #expect(problems.contains("maxConcurrentLoads must be from 1 to 1,000,000 (is 0)"))
        #expect(TestSupport.problems(of: CacheConfiguration(timeToLive: .seconds(1), jitter: .nan).validate).count == 1)
    }

    @Test("the default configuration is valid")
    func defaults() {
        #expect(problems(of: CacheConfiguration.expiring(after: .seconds(1)).validate) == [])
    }

    @Test("an invalid configuration ends the process with its problem")
    func precondition() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = LoadingCache<Int, Int>(.expiring(after: .zero)) { $0 }
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("timeToLive must be positive (is 0.0 seconds)"))
    }

    @Test("the errors have stable codes, and only calls without a load are rejections")
    func errors() {
        let errors = CacheError.Reason.allCases.map { CacheError($0) }
        #expect(
            errors.map(\.code) == [
                "cache.load_timeout", "cache.deadline", "cache.overloaded", "cache.recursive_load",
                "cache.store_unavailable",
            ]
        )
        #expect(errors.map(\.category) == [.timeout, .timeout, .unavailable, .internal, .unavailable])
        #expect(errors.map(\.isRejection) == [false, false, true, true, true])
    }
}

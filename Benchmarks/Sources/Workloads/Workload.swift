import Reliability

/// A kind of call that is made many times.
///
/// Every one of ours has a baseline beside it, the same thing written by hand the usual way.
public enum Workload: String, CaseIterable, Sendable {
    /// The operation alone, which every other figure includes.
    case bare
    case bareOnTwo = "bare-2"
    case usualTimeout = "timeout.usual"
    case timeout = "timeout.ours"
    case usualTimeoutSuspending = "timeout-suspending.usual"
    case timeoutSuspending = "timeout-suspending.ours"
    case usualRetry = "retry.usual"
    case retry = "retry.ours"
    case usualBulkhead = "bulkhead.usual"
    case bulkhead = "bulkhead.ours"
    case usualBulkheadCall = "bulkhead-call.usual"
    case bulkheadCall = "bulkhead-call.ours"
    case usualBreaker = "breaker.usual"
    case breaker = "breaker.ours"
    case usualBreakerOnTwo = "breaker-2.usual"
    case breakerOnTwo = "breaker-2.ours"
    case usualBreakerSlow = "breaker-slow.usual"
    case breakerSlow = "breaker-slow.ours"
    case usualBreakerSlowOnTwo = "breaker-slow-2.usual"
    case breakerSlowOnTwo = "breaker-slow-2.ours"
    case usualBreakerOpen = "breaker-open.usual"
    case breakerOpen = "breaker-open.ours"
    case usualCacheHit = "cache-hit.usual"
    case cacheHit = "cache-hit.ours"
    case foundationCacheHit = "cache-nscache.usual"
    case cacheHitBesideFoundation = "cache-nscache.ours"
    case usualCacheHitOnTwo = "cache-hit-2.usual"
    case cacheHitOnTwo = "cache-hit-2.ours"
    case usualCacheRandom = "cache-random.usual"
    case cacheRandom = "cache-random.ours"
    case usualCacheMiss = "cache-miss.usual"
    case cacheMiss = "cache-miss.ours"
    case usualPipeline = "pipeline.usual"
    case pipeline = "pipeline.ours"

    /// A Boolean value that indicates whether two tasks make the calls.
    public var usesTwoTasks: Bool { rawValue.contains("-2") }

    /// Makes the call `count` times, one after the other.
    public func run(_ count: Int) async throws {
        switch self {
        case .bare: try await runTasks(1) { for index in 0..<count { keep(try await work(index)) } }
        case .bareOnTwo: try await runTasks(2) { for index in 0..<count { keep(try await work(index)) } }
        case .usualTimeout:
            for index in 0..<count { keep(try await withUsualTimeout(.seconds(30)) { index }) }
        case .timeout:
            for index in 0..<count { keep(try await withTimeout(.seconds(30)) { index }) }
        case .usualTimeoutSuspending:
            for index in 0..<count {
                keep(
                    try await withUsualTimeout(.seconds(30)) {
                        await Task.yield()
                        return index
                    }
                )
            }
        case .timeoutSuspending:
            for index in 0..<count {
                keep(
                    try await withTimeout(.seconds(30)) {
                        await Task.yield()
                        return index
                    }
                )
            }
        case .usualRetry:
            for index in 0..<count { keep(try await withUsualRetry(attempts: 3) { try await work(index) }) }
        case .retry:
            let retry = RetryPolicy(.idempotent(maxAttempts: 3))
            for index in 0..<count { keep(try await retry.run { try await work(index) }) }
        case .usualBulkhead, .usualBulkheadCall:
            let semaphore = UsualSemaphore(places: 10)
            for index in 0..<count {
                await semaphore.wait()
                keep(try await work(index))
                await semaphore.signal()
            }
        case .bulkhead:
            let bulkhead = BulkheadPolicy(.limit(10))
            for index in 0..<count {
                let permit = try await bulkhead.acquire()
                keep(try await work(index))
                permit.release()
            }
        case .bulkheadCall:
            let bulkhead = BulkheadPolicy(.limit(10))
            for index in 0..<count { keep(try await bulkhead.run { try await work(index) }) }
        case .usualBreaker, .usualBreakerSlow: try await runUsualBreaker(count)
        case .usualBreakerOnTwo, .usualBreakerSlowOnTwo: try await runUsualBreaker(count, tasks: 2)
        case .breaker: try await runBreaker(.consecutiveFailures(5), count)
        case .breakerOnTwo: try await runBreaker(.consecutiveFailures(5), count, tasks: 2)
        case .breakerSlow: try await runBreaker(slowCalls, count)
        case .breakerSlowOnTwo: try await runBreaker(slowCalls, count, tasks: 2)
        case .usualBreakerOpen:
            let breaker = UsualBreaker()
            for _ in 0..<5 { _ = try? await breaker.call { try await work(-1) } }
            for index in 0..<count { keep((try? await breaker.call { try await work(index) }) ?? index) }
        case .breakerOpen:
            let breaker = Breaker(.consecutiveFailures(1))
            try breaker.acquire().fail()
            for index in 0..<count { keep((try? await breaker.run { try await work(index) }) ?? index) }
        case .usualCacheHit: try await runUsualCache(count) { _ in 1 }
        case .cacheHit, .cacheHitBesideFoundation: try await runCache(count) { _ in 1 }
        case .foundationCacheHit:
            let cache = FoundationCache()
            for _ in 0..<count { keep(try await cache.value(for: 1) { try await work($0) }) }
        case .usualCacheHitOnTwo: try await runUsualCache(count, tasks: 2) { _ in 1 }
        case .cacheHitOnTwo: try await runCache(count, tasks: 2) { _ in 1 }
        case .usualCacheRandom: try await runUsualCache(count, in: fullUsualCache, scattered)
        case .cacheRandom: try await runCache(count, in: fullCache, scattered)
        case .usualCacheMiss: try await runUsualCache(count) { $0 }
        case .cacheMiss: try await runCache(count) { $0 }
        case .usualPipeline:
            let breaker = UsualBreaker()
            for index in 0..<count {
                keep(
                    try await withUsualTimeout(.seconds(8)) {
                        try await withUsualRetry(attempts: 3) {
                            try await breaker.call { try await withUsualTimeout(.seconds(2)) { try await work(index) } }
                        }
                    }
                )
            }
        case .pipeline:
            let pipeline = Pipeline {
                TimeoutPolicy(.seconds(8))
                RetryPolicy(.idempotent(maxAttempts: 3))
                Breaker(.consecutiveFailures(5))
                TimeoutPolicy(.seconds(2))
            }
            for index in 0..<count { keep(try await pipeline.run { try await work(index) }) }
        }
    }
}

/// A breaker with a window of time that counts slow and failed calls.
private let slowCalls = Breaker.Configuration(
    tripCondition: .slowOrFailedRate(0.5, slowerThan: .seconds(1), minCalls: 20, within: .seconds(10))
)

private func runBreaker(_ configuration: Breaker.Configuration, _ count: Int, tasks: Int = 1) async throws {
    let breaker = Breaker(configuration)
    try await runTasks(tasks) { for index in 0..<count { keep(try await breaker.run { try await work(index) }) } }
}

private func runUsualBreaker(_ count: Int, tasks: Int = 1) async throws {
    let breaker = UsualBreaker()
    try await runTasks(tasks) { for index in 0..<count { keep(try await breaker.call { try await work(index) }) } }
}

private func makeCache() -> LoadingCache<Int, Int> {
    var configuration = CacheConfiguration.expiring(after: .seconds(3600))
    configuration.maxEntries = 1_000_000
    configuration.maxCost = 1 << 30
    return LoadingCache(configuration) { try await work($0) }
}

/// Caches with 100,000 entries, which are filled once.
private let fullCache = {
    let cache = makeCache()
    for key in 0..<100_000 { cache.put(.value(key), for: key) }
    return cache
}()
private let fullUsualCache = {
    let cache = UsualCache()
    for key in 0..<100_000 { cache.put(key, for: key) }
    return cache
}()

private func runCache(
    _ count: Int,
    tasks: Int = 1,
    in cache: LoadingCache<Int, Int> = makeCache(),
    _ key: @escaping @Sendable (Int) -> Int
) async throws {
    try await runTasks(tasks) { for index in 0..<count { keep(try await cache.value(for: key(index))) } }
}

private func runUsualCache(
    _ count: Int,
    tasks: Int = 1,
    in cache: UsualCache = UsualCache(),
    _ key: @escaping @Sendable (Int) -> Int
) async throws {
    try await runTasks(tasks) {
        for index in 0..<count { keep(try await cache.value(for: key(index)) { try await work($0) }) }
    }
}

/// One of 100,000 keys, in an order without locality.
private func scattered(_ index: Int) -> Int { (index &* 0x9E37_79B9) & .max % 100_000 }

/// Runs the same calls in each task, so that two tasks take as long as one without contention.
private func runTasks(_ count: Int, _ calls: @escaping @Sendable () async throws -> Void) async throws {
    try await withThrowingTaskGroup { group in
        for _ in 0..<count { group.addTask { try await calls() } }
        try await group.waitForAll()
    }
}

/// A call that does nothing, which the compiler cannot know.
@inline(never)
private func work(_ value: Int) async throws -> Int {
    if value < 0 { throw CancellationError() }
    return value
}

/// Keeps a result from being optimised away.
@inline(never)
private func keep(_ value: Int) {}

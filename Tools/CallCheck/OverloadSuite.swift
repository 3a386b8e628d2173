import Bulkhead
import CircuitBreaker
import ReliabilityCore

private let rounds = 7

/// Measures the memory of idle breakers in a registry, and the memory and the time of calls that wait in a bulkhead.
@Sendable
func overloadSuite() async {
    var registryMemory = Measurement()
    var registries: [BreakerRegistry<Int>] = []
    for _ in 0..<rounds {
        let registry = BreakerRegistry<Int>(.standard)
        let before = residentBytes()
        for key in 0..<10_000 { _ = registry.breaker(for: key) }
        registryMemory.keep(Double(residentBytes() - before) / 10_000)
        // Everything is kept until the end of its rounds, so that no later round gets the memory again.
        registries.append(registry)
    }
    print(registryMemory.line("an idle breaker in a registry of 10,000", "bytes"))
    registries = []
    var (bare, waiting) = (Measurement(), Measurement())
    var ends: [() async -> Void] = []
    for _ in 0..<rounds {
        let continuations = Lock<[CheckedContinuation<Void, Never>]>([])
        let (baseline, bareTasks) = memory {
            await withCheckedContinuation { continuation in continuations.withLock { $0.append(continuation) } }
        }
        let (bulkhead, release) = fullBulkhead(10_000)
        let (bytes, tasks) = memory { try? await bulkhead.acquire().release() }
        bare.keep(baseline)
        waiting.keep(bytes - baseline)
        ends.append {
            for continuation in continuations.withLock({ $0 }) { continuation.resume() }
            release()
            for task in bareTasks + tasks { await task.value }
        }
    }
    print(bare.line("a task that waits for a continuation", "bytes"))
    print(waiting.line("a task that waits for a place", "bytes more"))
    for end in ends { await end() }

    for count in [1_000, 10_000, 100_000] {
        var admitting = Measurement()
        for _ in 0..<rounds {
            let (bulkhead, release) = fullBulkhead(count)
            let tasks = (0..<count).map { _ in startTask { try? await bulkhead.acquire().release() } }
            let start = ContinuousClock.now
            release()
            for task in tasks { await task.value }
            admitting.keep((ContinuousClock.now - start) / .nanoseconds(count))
        }
        print(admitting.line("admit and end each of \(count) waiting tasks", "ns"))
    }
}

private func residentBytes() -> Int { (processStatus("VmRSS") ?? 0) * 1024 }

/// Returns a bulkhead with a queue of a length, and a function that releases its only place.
private func fullBulkhead(_ count: Int) -> (BulkheadPolicy, release: () -> Void) {
    let bulkhead = BulkheadPolicy(.limit(1, maxWaiting: count, maxWait: .seconds(3600)))
    let holder = Lock<CheckedContinuation<Void, Never>?>(nil)
    // The task starts in place and has the place when this function returns.
    _ = startTask {
        try? await bulkhead.run {
            await withCheckedContinuation { continuation in holder.withLock { $0 = continuation } }
        }
    }
    return (bulkhead, { holder.withLock { $0 }?.resume() })
}

/// Starts 10,000 tasks that wait, and returns the bytes of each.
private func memory(_ wait: @escaping @Sendable () async -> Void) -> (Double, [Task<Void, Never>]) {
    let before = residentBytes()
    let tasks = (0..<10_000).map { _ in startTask(wait) }
    return (Double(residentBytes() - before) / 10_000, tasks)
}

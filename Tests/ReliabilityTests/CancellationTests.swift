import Reliability
import ReliabilityCore
import ReliabilityTesting
import Testing

@Suite("Caller cancellation")
struct CancellationTests {
    private struct Failure: Error {}

    /// Counts the steps of a call, and cancels its task at one of them.
    private final class Steps: Sendable {
        private let state: Lock<(left: Int, task: Task<String, any Error>?)>

        init(cancelAt step: Int) { state = Lock((step, nil)) }

        /// Names the task; it must not have begun its steps.
        func observe(_ task: Task<String, any Error>) { state.withLock { $0.task = task } }

        func step() async {
            let task = state.withLock { state in
                state.left -= 1
                return state.left == 0 ? state.task : nil
            }
            task?.cancel()
            await Task.yield()
        }
    }

    /// A store that several processes use, with a step before and after each write.
    private struct SteppingStore: KeyValueStore {
        let memory: InMemoryStore
        let steps: Steps

        var capabilities: StoreCapabilities {
            var capabilities = memory.capabilities
            capabilities.canStall = true
            capabilities.openedAt = nil
            return capabilities
        }

        func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] { try await memory.get(keys) }

        func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
            await steps.step()
            let result = try await memory.commit(writes)
            await steps.step()
            return result
        }

        func update(
            _ updates: [(key: StoreKey, update: AtomicUpdate)]
        ) async throws(StoreError) -> UpdateResult {
            await steps.step()
            let result = try await memory.update(updates)
            await steps.step()
            return result
        }

        func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
            try await memory.scan(prefix, after: after, limit: limit)
        }
    }

    @Test("at whatever step of a whole call it comes, no count changes and nothing stays behind", arguments: 1...20)
    func anywhere(step: Int) async throws {
        let clock = ManualClock()
        let memory = InMemoryStore(clock: clock)
        let steps = Steps(cancelAt: step)
        let store = SteppingStore(memory: memory, steps: steps)
        let limiter = Limiter(
            .gcra(5, per: .seconds(1000)),
            keyspace: "limits",
            store: store,
            whenStoreIsDown: .closed(),
            clock: clock
        )
        let breaker = Breaker(BreakerConfiguration(trip: .consecutiveFailures(2)), clock: clock)
        let dedup = Deduplicator(
            DedupConfiguration(.replay(retention: nil)),
            keyspace: "calls",
            store: store,
            clock: clock
        )
        let pipeline = Pipeline {
            TimeoutPolicy(.seconds(60), clock: clock)
            limiter.policy(for: "customer")
            RetryPolicy(RetryConfiguration(.idempotent, maxAttempts: 3, backoff: .none), clock: clock)
            breaker
            TimeoutPolicy(.seconds(10), clock: clock)
        }
        let attempts = Counter()
        let ends = Counter()
        let start = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            for await _ in start.stream {}
            return try await dedup.run("charge", ["call"]) { _ in
                try await pipeline.run {
                    let attempt = attempts.increment()
                    await steps.step()
                    try Task.checkCancellation()
                    // One failure counts; a second, even if it were that of a cancelled call, would open the breaker.
                    if attempt == 1 { throw Failure() }
                    await steps.step()
                    try Task.checkCancellation()
                    ends.increment()
                    return "first"
                }
            }.value
        }
        steps.observe(task)
        start.continuation.finish()

        let result = await task.result
        if case .failure(let error) = result { #expect(error is CancellationError) }
        #expect(breaker.state == .closed)
        #expect(clock.sleeperCount == 0)
        // A call that came to its end is known; one that did not can be made again, at once.
        let again = try await dedup.run("charge", ["call"]) { _ in "second" }
        #expect(again.value == (ends.value == 1 ? "first" : "second"))
        #expect(try await limiter.check("customer").remaining == (attempts.value > 0 ? 3 : 4))
    }
}

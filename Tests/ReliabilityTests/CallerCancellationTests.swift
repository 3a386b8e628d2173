import Reliability
import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@Suite("Cancellation of the caller")
struct CallerCancellationTests {
    /// Counts the steps of a call, and cancels the task of the call at one step.
    private final class Steps: Sendable {
        private let state: Lock<(left: Int, task: Task<String, any Error>?)>

        init(cancelAt step: Int) { state = Lock((step, nil)) }

        /// Sets the task before the task starts its steps.
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

    /// A store with a step before and after each write.
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

    @Test("a cancellation at any step of a call changes no count and leaves nothing behind", arguments: 1...20)
    func anyStep(step: Int) async throws {
        let clock = ManualClock()
        let memory = InMemoryStore(clock: clock)
        let steps = Steps(cancelAt: step)
        let store = SteppingStore(memory: memory, steps: steps)
        let limiter = Limiter(
            .gcra(5, per: .seconds(1000)),
            keyspace: "limits",
            store: store,
            storeFailure: .failClosed(),
            clock: clock
        )
        let breaker = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(2)), clock: clock)
        let dedup = Deduplicator(
            .replay(retention: nil),
            keyspace: "calls",
            store: store,
            storeFailure: .failClosed(),
            clock: clock
        )
        let pipeline = Pipeline {
            TimeoutPolicy(.seconds(60), clock: clock)
            limiter.policy(for: ["customer"])
            RetryPolicy(RetryPolicy.Configuration(.idempotent, maxAttempts: 3, backoff: .none), clock: clock)
            breaker
            TimeoutPolicy(.seconds(10), clock: clock)
        }
        let attempts = ConcurrencyCounter()
        let ends = ConcurrencyCounter()
        let start = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            for await _ in start.stream {}
            return try await dedup.run("charge", ["call"]) { _ in
                try await pipeline.run {
                    let attempt = attempts.increment()
                    await steps.step()
                    try Task.checkCancellation()
                    // One failure counts. A second failure, even of a cancelled call, would open the breaker.
                    if attempt == 1 { throw TestError() }
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
        // A call that ended is replayed, and any other call can be made again immediately.
        let again = try await dedup.run("charge", ["call"]) { _ in "second" }
        #expect(again.value == (ends.value == 1 ? "first" : "second"))
        #expect(try await limiter.tryConsume(["customer"]).remaining == (attempts.value > 0 ? 3 : 4))
    }
}

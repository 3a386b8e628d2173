import Reliability
import ReliabilityTesting
import Testing

@Suite("Records of calls")
struct CallRecordTests {
    private struct Failure: Error {}

    /// Notes steps of its own.
    private struct Noting: CallPolicy {
        let steps: [CallStep]

        nonisolated(nonsending) func run<Success>(
            _ operation: nonisolated(nonsending) () async throws -> Success
        ) async throws -> Success {
            for step in steps { CallTrace.current?.note(step) }
            return try await operation()
        }
    }

    private let clock = ManualClock()
    private let records = EventRecorder<CallRecord>()

    @Test("a call that succeeds: its name, its time, its correlation id, no error")
    func success() async throws {
        let pipeline = Pipeline("users", clock: clock, observer: records.record) { FakePolicy.retry(1) }
        let id = try #require(CorrelationID("request-7"))
        let value = try await withCorrelationID(id) {
            try await pipeline.run {
                clock.advance(by: .seconds(2))
                return 7
            }
        }
        #expect(value == 7)
        let record = try #require(await records.wait(for: 1).first)
        #expect(record.name == "users")
        #expect(record.duration == .seconds(2))
        #expect(record.outcome == .success)
        #expect(record.error == nil)
        #expect(record.correlationID == id)
        #expect(record.entries.count == 1 && record.attempts == 1 && record.waited == .zero)
        #expect(record.description == "users succeeded after 2 s [request-7]\n  2 s: attempt 1 succeeded after 2 s")
    }

    @Test("the steps that policies note come in order, with their time since the beginning")
    func steps() async throws {
        let pipeline = Pipeline("users", clock: clock, observer: records.record) {
            Noting(steps: [.waiting(.seconds(1)), .attempt(number: 1, took: .milliseconds(5), error: Failure())])
        }
        await #expect(throws: Failure.self) {
            try await pipeline.run {
                clock.advance(by: .milliseconds(1500))
                CallTrace.current?.note(.gaveUp("retry.exhausted"))
                throw Failure()
            }
        }
        let record = try #require(await records.wait(for: 1).first)
        #expect(record.outcome == .failure)
        #expect(record.error is Failure)
        #expect(record.attempts == 1)
        #expect(record.waited == .seconds(1))
        #expect(
            record.description == """
                users failed after 1.5 s: Failure()
                  0 ns: waits 1 s
                  0 ns: attempt 1 failed after 5 ms: Failure()
                  1.5 s: gave up: retry.exhausted
                """
        )
    }

    @Test("a retried call tells its attempts, its waits and its end")
    func retried() async throws {
        let retry = RetryConfiguration(.idempotent, maxAttempts: 2, backoff: .constant(.seconds(3), jitter: .none))
        let pipeline = Pipeline("users", clock: clock, observer: records.record) { RetryPolicy(retry, clock: clock) }
        let task = Task { try await pipeline.run { throw Failure() } }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(3))
        await #expect(throws: RetryError.self) { try await task.value }
        let record = try #require(await records.wait(for: 1).first)
        #expect(record.attempts == 2)
        #expect(record.waited == .seconds(3))
        #expect(record.duration == .seconds(3))
        #expect(record.entries.contains { if case .gaveUp("retry.exhausted") = $0.step { true } else { false } })
    }

    @Test("a refusal by the breaker or the limiter is told as one, and the call as refused")
    func refusals() async throws {
        let breaker = Breaker(.consecutiveFailures(1))
        let failing = Pipeline("first", observer: records.record) { breaker }
        for _ in 0..<2 { _ = try? await failing.run { throw Failure() } }
        let limiter = Limiter(
            .fixedWindow(1, per: .seconds(60)),
            keyspace: "users",
            store: InMemoryStore(clock: clock),
            whenStoreIsDown: .closed()
        )
        let limited = Pipeline("second", observer: records.record) { limiter.policy(for: "ann") }
        for _ in 0..<2 { try? await limited.run {} }

        let seen = await records.wait(for: 4)
        let (open, exceeded) = (
            try #require(seen.last { $0.name == "first" }), try #require(seen.last { $0.name == "second" })
        )
        for (record, code) in [(open, "circuit_breaker.open" as ErrorCode), (exceeded, "rate_limit.exceeded")] {
            #expect(record.outcome == .ignored)
            #expect(record.entries.count == 1)
            guard case .refused(let error)? = record.entries.first?.step else {
                Issue.record("\(record)")
                return
            }
            #expect(error.code == code)
            #expect(record.description.hasPrefix("\(record.name) was refused after "))
        }
    }

    @Test("a call whose task was cancelled is ignored, whether it then threw or returned", arguments: [false, true])
    func cancelled(returns: Bool) async throws {
        let pipeline = Pipeline("users", clock: clock, observer: records.record) { FakePolicy.retry(1) }
        let task = Task {
            try await pipeline.run {
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                if !returns { throw Failure() }
            }
        }
        _ = await task.result
        let record = try #require(await records.wait(for: 1).first)
        #expect(record.outcome == .ignored)
        #expect(record.description.hasPrefix("users was cancelled after 0 ns"))
    }

    @Test("of nested pipelines both are told of the inner one's steps, the outer one of its own alone")
    func nested() async throws {
        let inner = Pipeline("inner", clock: clock, observer: records.record) { Noting(steps: [.waiting(.seconds(1))]) }
        let outer = Pipeline("outer", clock: clock, observer: records.record) {
            Noting(steps: [.waiting(.seconds(2))])
            inner
        }
        try await outer.run {}
        let seen = await records.wait(for: 2)
        // The queues of two observers are not ordered against each other.
        #expect(seen.first { $0.name == "inner" }?.waited == .seconds(1))
        #expect(seen.first { $0.name == "outer" }?.waited == .seconds(3))
    }

    @Test("an attempt that is itself a call with an observer counts once in the outer record")
    func observedAttempts() async throws {
        let inner = Pipeline("inner", clock: clock, observer: records.record) { FakePolicy.retry(1) }
        let retry = RetryConfiguration(.idempotent, maxAttempts: 2, backoff: .none)
        let outer = Pipeline("outer", clock: clock, observer: records.record) { RetryPolicy(retry, clock: clock) }
        _ = try? await outer.run { try await inner.run { throw Failure() } }
        let seen = await records.wait(for: 3)
        #expect(seen.filter { $0.name == "inner" }.map(\.attempts) == [1, 1])
        #expect(seen.first { $0.name == "outer" }?.attempts == 2)
    }

    @Test("a pipeline without an observer inside one with an observer leaves its steps in the outer record")
    func silentInner() async throws {
        let outer = Pipeline("outer", clock: clock, observer: records.record) {
            Pipeline("inner") { Noting(steps: [.waiting(.seconds(1))]) }
        }
        try await outer.run {}
        #expect(await records.wait(for: 1).first?.waited == .seconds(1))
    }

    @Test("without an observer nothing is traced")
    func untraced() async throws {
        try await Pipeline { FakePolicy.retry(1) }.run { #expect(CallTrace.current == nil) }
    }

    @Test("a record keeps a hundred entries and counts the rest")
    func bounded() async throws {
        let pipeline = Pipeline("users", clock: clock, observer: records.record) {
            Noting(steps: Array(repeating: .waiting(.seconds(1)), count: 250))
        }
        try await pipeline.run {}
        let record = try #require(await records.wait(for: 1).first)
        #expect(record.entries.count == 100)
        #expect(record.droppedEntries == 151)
        #expect(record.description.hasSuffix("\n  and 151 more"))
    }

    @Test("every step has words")
    func words() {
        let steps: [(CallStep, String)] = [
            (.attempt(number: 2, took: .seconds(1), error: nil), "attempt 2 succeeded after 1 s"),
            (.hedged(number: 2, after: .milliseconds(30)), "hedged with attempt 2 after 30 ms"),
            (.timedOut(limit: .seconds(8)), "reached the limit of 8 s"),
            (.fellBack(to: "stale value", error: Failure()), "fell back to stale value: Failure()"),
        ]
        for (step, text) in steps { #expect(step.description == text) }
    }
}

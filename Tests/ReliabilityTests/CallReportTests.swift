import Reliability
import ReliabilityTesting
import TestSupport
import Testing

@Suite("CallReport")
struct CallReportTests {
    /// A policy that records steps of its own.
    private struct RecordingPolicy: CallPolicy {
        let steps: [CallStep]

        nonisolated(nonsending) func run<Success>(
            _ operation: nonisolated(nonsending) () async throws -> Success
        ) async throws -> Success {
            for step in steps { CallTrace.current?.record(step) }
            return try await operation()
        }
    }

    private let clock = ManualClock()
    private let reports = EventRecorder<CallReport>()

    @Test("the report of a successful call has its name, its duration and its correlation ID")
    func success() async throws {
        let pipeline = Pipeline("users", clock: clock, observer: reports.record) { FakePolicy.retry(1) }
        let id = try #require(CorrelationID("request-7"))
        let value = try await withCorrelationID(id) {
            try await pipeline.run {
                clock.advance(by: .seconds(2))
                return 7
            }
        }
        #expect(value == 7)
        let report = try #require(await reports.wait(for: 1).first)
        #expect(report.name == "users")
        #expect(report.duration == .seconds(2))
        #expect(report.outcome == .success)
        #expect(report.error == nil)
        #expect(report.correlationID == id)
        #expect(report.entries.count == 1 && report.attempts == 1 && report.waited == .zero)
        #expect(report.description == "users succeeded after 2 s [request-7]\n  2 s: attempt 1 succeeded after 2 s")
    }

    @Test("recorded steps are listed in order with their time since the start")
    func steps() async throws {
        let pipeline = Pipeline("users", clock: clock, observer: reports.record) {
            RecordingPolicy(steps: [
                .waiting(.seconds(1)), .attempt(number: 1, took: .milliseconds(5), error: TestError()),
            ])
        }
        await #expect(throws: TestError.self) {
            try await pipeline.run {
                clock.advance(by: .milliseconds(1500))
                CallTrace.current?.record(.gaveUp("retry.exhausted"))
                throw TestError()
            }
        }
        let report = try #require(await reports.wait(for: 1).first)
        #expect(report.outcome == .failure)
        #expect(report.error is TestError)
        #expect(report.attempts == 1)
        #expect(report.waited == .seconds(1))
        #expect(
            report.description == """
                users failed after 1.5 s: TestError(number: 0)
                  0 ns: waits 1 s
                  0 ns: attempt 1 failed after 5 ms: TestError(number: 0)
                  1.5 s: gave up: retry.exhausted
                """
        )
    }

    @Test("the report of a retried call has its attempts, its waits and its final code")
    func retried() async throws {
        let retry = RetryPolicy.Configuration(
            .idempotent,
            maxAttempts: 2,
            backoff: .constant(.seconds(3), jitter: .none)
        )
        let pipeline = Pipeline("users", clock: clock, observer: reports.record) { RetryPolicy(retry, clock: clock) }
        let task = Task { try await pipeline.run { throw TestError() } }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(3))
        await #expect(throws: RetryError.self) { try await task.value }
        let report = try #require(await reports.wait(for: 1).first)
        #expect(report.attempts == 2)
        #expect(report.waited == .seconds(3))
        #expect(report.duration == .seconds(3))
        #expect(report.entries.contains { if case .gaveUp("retry.exhausted") = $0.step { true } else { false } })
    }

    @Test("a rejection by a breaker or a limiter is reported, and the call is reported as rejected")
    func rejections() async throws {
        let breaker = Breaker(.consecutiveFailures(1))
        let failing = Pipeline("first", observer: reports.record) { breaker }
        for _ in 0..<2 { _ = try? await failing.run { throw TestError() } }
        let limiter = Limiter(
            .fixedWindow(1, per: .seconds(60)),
            keyspace: "users",
            store: InMemoryStore(clock: clock),
            storeFailure: .failClosed()
        )
        let limited = Pipeline("second", observer: reports.record) { limiter.policy(for: ["ann"]) }
        for _ in 0..<2 { try? await limited.run {} }

        let seen = await reports.wait(for: 4)
        let (open, exceeded) = (
            try #require(seen.last { $0.name == "first" }), try #require(seen.last { $0.name == "second" })
        )
        for (report, code) in [(open, "circuit_breaker.open" as ErrorCode), (exceeded, "rate_limit.exceeded")] {
            #expect(report.outcome == .ignored)
            #expect(report.entries.count == 1)
            guard case .rejected(let error)? = report.entries.first?.step else {
                Issue.record("\(report)")
                return
            }
            #expect(error.code == code)
            #expect(report.description.hasPrefix("\(report.name) was rejected after "))
        }
    }

    @Test("the outcome of a cancelled call is ignored, whether the call threw or returned", arguments: [false, true])
    func cancelled(returns: Bool) async throws {
        let pipeline = Pipeline("users", clock: clock, observer: reports.record) { FakePolicy.retry(1) }
        let task = Task {
            try await pipeline.run {
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                if !returns { throw TestError() }
            }
        }
        _ = await task.result
        let report = try #require(await reports.wait(for: 1).first)
        #expect(report.outcome == .ignored)
        #expect(report.description.hasPrefix("users was cancelled after 0 ns"))
    }

    @Test("inner steps of nested pipelines are in both reports, and outer steps are in the outer report only")
    func nested() async throws {
        let inner = Pipeline("inner", clock: clock, observer: reports.record) {
            RecordingPolicy(steps: [.waiting(.seconds(1))])
        }
        let outer = Pipeline("outer", clock: clock, observer: reports.record) {
            RecordingPolicy(steps: [.waiting(.seconds(2))])
            inner
        }
        try await outer.run {}
        let seen = await reports.wait(for: 2)
        // The events of two observers have no common order.
        #expect(seen.first { $0.name == "inner" }?.waited == .seconds(1))
        #expect(seen.first { $0.name == "outer" }?.waited == .seconds(3))
    }

    @Test("an attempt that is an observed call counts once in the outer report")
    func observedAttempts() async throws {
        let inner = Pipeline("inner", clock: clock, observer: reports.record) { FakePolicy.retry(1) }
        let retry = RetryPolicy.Configuration(.idempotent, maxAttempts: 2, backoff: .none)
        let outer = Pipeline("outer", clock: clock, observer: reports.record) { RetryPolicy(retry, clock: clock) }
        _ = try? await outer.run { try await inner.run { throw TestError() } }
        let seen = await reports.wait(for: 3)
        #expect(seen.filter { $0.name == "inner" }.map(\.attempts) == [1, 1])
        #expect(seen.first { $0.name == "outer" }?.attempts == 2)
    }

    @Test("the steps of an inner pipeline without an observer are in the outer report")
    func silentInner() async throws {
        let outer = Pipeline("outer", clock: clock, observer: reports.record) {
            Pipeline("inner") { RecordingPolicy(steps: [.waiting(.seconds(1))]) }
        }
        try await outer.run {}
        #expect(await reports.wait(for: 1).first?.waited == .seconds(1))
    }

    @Test("without an observer nothing is traced")
    func untraced() async throws {
        try await Pipeline { FakePolicy.retry(1) }.run { #expect(CallTrace.current == nil) }
    }

    @Test("a report keeps a hundred entries and counts the rest")
    func bounded() async throws {
        let pipeline = Pipeline("users", clock: clock, observer: reports.record) {
            RecordingPolicy(steps: Array(repeating: .waiting(.seconds(1)), count: 250))
        }
        try await pipeline.run {}
        let report = try #require(await reports.wait(for: 1).first)
        #expect(report.entries.count == 100)
        #expect(report.droppedEntries == 151)
        #expect(report.description.hasSuffix("\n  and 151 more"))
    }

    @Test("every step describes itself")
    func descriptions() {
        let steps: [(CallStep, String)] = [
            (.attempt(number: 2, took: .seconds(1), error: nil), "attempt 2 succeeded after 1 s"),
            (.hedged(number: 2, after: .milliseconds(30)), "hedged with attempt 2 after 30 ms"),
            (.timedOut(limit: .seconds(8)), "reached the limit of 8 s"),
            (.fellBack(to: "stale value", error: TestError()), "fell back to stale value: TestError(number: 0)"),
        ]
        for (step, text) in steps { #expect(step.description == text) }
    }
}

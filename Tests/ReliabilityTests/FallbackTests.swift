import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import Reliability

@Suite("Fallback")
struct FallbackTests {
    let clock = ManualClock()
    let events = EventRecorder<FallbackEvent>()

    func names(_ events: [FallbackEvent]) -> [String] {
        events.map { event in
            switch event {
            case .answered(let name, _): "answered by \(name)"
            case .failed(let source, _): "\(source) failed"
            case .unanswered: "unanswered"
            case .missed(let count): "missed \(count)"
            }
        }
    }

    @Test("a successful call asks no source")
    func success() async throws {
        let asked = ConcurrencyCounter()
        let fallback = Fallback<Int>(.source { asked.increment() }, .value(0))
        let result = try await fallback.run { 7 }
        #expect(result.value == 7)
        #expect(!result.isFallback && result.answer == nil && result.error == nil)
        #expect(asked.value == 0)
    }

    @Test("the first answer with a value replaces a failed call and is reported")
    func order() async throws {
        let last = LastGoodValue<String>(maxAge: .seconds(60), clock: clock)
        let fallback = Fallback<String>(
            .stale(last),
            .source("replica") { throw TestError(2) },
            .source("archive") { "old" },
            .value("nothing"),
            observer: events.record
        )
        let result = try await fallback.run { throw TestError(1) }
        #expect(result.value == "old")
        #expect(result.isFallback && result.answer == "archive")
        #expect(result.error as? TestError == TestError(1))
        #expect(names(await events.wait(for: 2)) == ["replica failed", "answered by archive"])
    }

    @Test("when no answer has a value, the call's own error is thrown")
    func unanswered() async {
        let last = LastGoodValue<String>(maxAge: .seconds(60), clock: clock)
        let fallback = Fallback<String>(
            .stale(last),
            .source("replica") { throw TestError(2) },
            observer: events.record
        )
        await #expect(throws: TestError(1)) { try await fallback.run { throw TestError(1) } }
        #expect(names(await events.wait(for: 2)) == ["replica failed", "unanswered"])
    }

    @Test("a stale value is the last good value until its maximum age")
    func stale() async throws {
        let last = LastGoodValue<Int>(maxAge: .seconds(60), clock: clock)
        let fallback = Fallback<Int>(.stale(last), .value(0))
        _ = try await fallback.run { 1 }
        _ = try await fallback.run { 2 }
        #expect(try await fallback.run { throw TestError() }.value == 2)
        clock.advance(by: .seconds(60) - .nanoseconds(1))
        #expect(try await fallback.run { throw TestError() }.value == 2)
        clock.advance(by: .nanoseconds(1))
        #expect(try await fallback.run { throw TestError() }.value == 0)
        _ = try await fallback.run { 3 }
        last.forget()
        #expect(last.value == nil)
    }

    @Test("the age of a value counts from the start of its call, and a slow call replaces no newer value")
    func age() async throws {
        let last = LastGoodValue<String>(maxAge: .seconds(60), clock: clock)
        let fallback = Fallback<String>(.stale(last))
        let slow = Task {
            try await fallback.run {
                try await clock.sleep(for: .seconds(50))
                return "slow"
            }
        }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(1))
        _ = try await fallback.run { "quick" }
        clock.advance(by: .seconds(49))
        _ = try await slow.value
        #expect(last.value == "quick")
        last.remember("by hand")
        #expect(last.value == "by hand")
    }

    @Test("the value of a cancelled call is not remembered")
    func cancelledValue() async throws {
        let last = LastGoodValue<String>(maxAge: .seconds(60), clock: clock)
        let fallback = Fallback<String>(.stale(last))
        let task = Task {
            try await fallback.run {
                try? await clock.sleep(for: .seconds(1))
                return "half"
            }
        }
        await clock.waitForSleepers(1)
        task.cancel()
        #expect(try await task.value.value == "half")
        #expect(last.value == nil)
    }

    @Test(
        "an error that blames the request is thrown unchanged",
        arguments: [
            ErrorCategory.invalid, .unauthenticated, .forbidden, .notFound, .conflict, .preconditionFailed, .tooLarge,
            .unprocessable,
        ]
    )
    func faultOfTheRequest(category: ErrorCategory) async {
        await #expect(throws: TestReliabilityError.self) {
            try await Fallback(.value(0)).run { throw TestReliabilityError(category) }
        }
    }

    @Test("every other error is answered", arguments: [ErrorCategory.rateLimited, .timeout, .unavailable, .internal])
    func faultOfTheDependency(category: ErrorCategory) async throws {
        #expect(try await Fallback(.value(0)).run { throw TestReliabilityError(category) }.value == 0)
    }

    @Test("a classification decides which errors are answered")
    func classification() async throws {
        let fallback = Fallback(.value(0), classify: { $0 as? TestError == TestError(1) ? .answer : .rethrow })
        #expect(try await fallback.run { throw TestError(1) }.value == 0)
        await #expect(throws: TestError(2)) { try await fallback.run { throw TestError(2) } }
    }

    @Test("a cancelled caller gets the call's own error without a classification")
    func cancelled() async {
        let asked = ConcurrencyCounter()
        let fallback = Fallback(
            .value(0),
            classify: { _ in asked.increment() > 0 ? .answer : .rethrow },
            observer: events.record
        )
        let task = Task {
            try await fallback.run {
                try? await clock.sleep(for: .seconds(1))
                throw TestError(3)
            }
        }
        await clock.waitForSleepers(1)
        task.cancel()
        await #expect(throws: TestError(3)) { try await task.value }
        #expect(asked.value == 0)
        #expect(events.events.isEmpty)
    }

    @Test("a caller cancelled during a source's answer gets the call's own error")
    func cancelledDuringSource() async {
        let fallback = Fallback<Int>(
            .source {
                try? await clock.sleep(for: .seconds(1))
                return 1
            },
            .value(0)
        )
        let task = Task { try await fallback.run { throw TestError(4) } }
        await clock.waitForSleepers(1)
        task.cancel()
        await #expect(throws: TestError(4)) { try await task.value }
    }

    @Test("CancellationError in a task that is not cancelled is answered like any other error")
    func innerCancellation() async throws {
        #expect(try await Fallback(.value(0)).run { throw CancellationError() }.value == 0)
    }

    @Test("a source is asked after the call's own deadline and not after an outer deadline")
    func deadlines() async throws {
        let timeSource = TimeSource(clock)
        let asked = ConcurrencyCounter()
        let fallback = Fallback<Int>(
            .source {
                #expect(Deadline.current?.isExpired != true)
                return asked.increment()
            },
            .value(0)
        )
        let expired = Deadline(instant: timeSource.now, timeSource: timeSource)
        let inside = try await fallback.run {
            try DeadlineScope.$innermost.withValue(DeadlineScope(expired)) { throw TestError() }
        }
        #expect(inside.value == 1)
        let outside = try await DeadlineScope.$innermost.withValue(DeadlineScope(expired)) {
            try await fallback.run { throw TestError() }
        }
        #expect(outside.value == 0)
        #expect(asked.value == 1)
    }

    @Test("a policy runs inside its fallback")
    func policy() async throws {
        let breaker = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(1)), clock: clock)
        let last = LastGoodValue<[Int]>(maxAge: .seconds(60), clock: clock)
        for _ in 0..<2 {
            let value = try await breaker.run(or: .stale(last), .value([])) { throw TestError() }
            #expect(value.isEmpty)
        }
        // The breaker saw the first failure and not the answer, and rejected the second call.
        #expect(breaker.state == .open(remaining: .seconds(30)))
        clock.advance(by: .seconds(30))
        #expect(try await breaker.run(or: .stale(last), .value([])) { [1] } == [1])
        #expect(try await breaker.run(or: .stale(last), .value([])) { throw TestError() } == [1])
    }

    @Test("the trace of a call records the answer")
    func trace() async throws {
        let trace = CallTrace(timeSource: TimeSource(clock))
        _ = try await CallTrace.$current.withValue(trace) {
            try await Fallback(.value(0)).run { throw TestError() }
        }
        let steps = trace.report(name: "test", outcome: .failure, error: nil).entries.map(\.step)
        guard case .fellBack(to: "value", let error)? = steps.first else {
            Issue.record("the steps are \(steps)")
            return
        }
        #expect(error is TestError)
    }

    @Test("thousands of simultaneous tasks remember and read values")
    func concurrent() async {
        let last = LastGoodValue<Int>(maxAge: .seconds(60), clock: clock)
        let fallback = Fallback<Int>(.stale(last), .value(-1))
        await withTaskGroup { group in
            for call in 0..<2000 {
                group.addTask {
                    let result = try? await fallback.run {
                        if call % 2 == 0 { throw TestError() }
                        return call
                    }
                    #expect(result?.isFallback == (call % 2 == 0))
                }
            }
        }
        #expect((last.value ?? 0) % 2 == 1)
    }

    actor Shop {
        var calls = 0
        func rates(_ pipeline: some CallPolicy) async throws -> [Int] {
            try await pipeline.run(or: .value([])) {
                self.preconditionIsolated()
                calls += 1
                throw TestError()
            }
        }
    }

    @Test("the call keeps the caller's isolation")
    func isolation() async throws {
        let shop = Shop()
        #expect(try await shop.rates(TimeoutPolicy(.seconds(3600))).isEmpty)
        #expect(await shop.calls == 1)
    }

    @Test("a maximum age of zero is rejected at construction")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = LastGoodValue<Int>(maxAge: .zero) }
    }
}

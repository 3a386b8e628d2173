import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Reliability

private struct Failure: Error, Equatable {
    var number = 0
}

private struct Refusal: ReliabilityError {
    var code: ErrorCode { "test.refusal" }
    var category: ErrorCategory
    var message: String { "Refused." }
}

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

    @Test("a call that succeeds is not answered by anyone else")
    func success() async throws {
        let asked = Counter()
        let fallback = Fallback<Int>(.source { asked.increment() }, .value(0))
        let result = try await fallback.run { 7 }
        #expect(result.value == 7)
        #expect(!result.isFallback && result.answer == nil && result.error == nil)
        #expect(asked.value == 0)
    }

    @Test("the first answer that has a value takes the place of a failed call, and says so")
    func order() async throws {
        let last = LastGoodValue<String>(maximumAge: .seconds(60), clock: clock)
        let fallback = Fallback<String>(
            .stale(last),
            .source("replica") { throw Failure(number: 2) },
            .source("archive") { "old" },
            .value("nothing"),
            observer: events.record
        )
        let result = try await fallback.run { throw Failure(number: 1) }
        #expect(result.value == "old")
        #expect(result.isFallback && result.answer == "archive")
        #expect(result.error as? Failure == Failure(number: 1))
        #expect(names(await events.wait(for: 2)) == ["replica failed", "answered by archive"])
    }

    @Test("when no answer has a value, the call's own error is thrown")
    func unanswered() async {
        let last = LastGoodValue<String>(maximumAge: .seconds(60), clock: clock)
        let fallback = Fallback<String>(
            .stale(last),
            .source("replica") { throw Failure(number: 2) },
            observer: events.record
        )
        await #expect(throws: Failure(number: 1)) { try await fallback.run { throw Failure(number: 1) } }
        #expect(names(await events.wait(for: 2)) == ["replica failed", "unanswered"])
    }

    @Test("a stale value is the last good one, until it is too old")
    func stale() async throws {
        let last = LastGoodValue<Int>(maximumAge: .seconds(60), clock: clock)
        let fallback = Fallback<Int>(.stale(last), .value(0))
        _ = try await fallback.run { 1 }
        _ = try await fallback.run { 2 }
        #expect(try await fallback.run { throw Failure() }.value == 2)
        clock.advance(by: .seconds(60) - .nanoseconds(1))
        #expect(try await fallback.run { throw Failure() }.value == 2)
        clock.advance(by: .nanoseconds(1))
        #expect(try await fallback.run { throw Failure() }.value == 0)
        _ = try await fallback.run { 3 }
        last.forget()
        #expect(last.value == nil)
    }

    @Test("a value is as old as the beginning of its call, and a slow call does not replace a newer value")
    func age() async throws {
        let last = LastGoodValue<String>(maximumAge: .seconds(60), clock: clock)
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

    @Test("what a cancelled call returns is not remembered")
    func cancelledValue() async throws {
        let last = LastGoodValue<String>(maximumAge: .seconds(60), clock: clock)
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
        "an error that finds fault with the request is thrown as it is",
        arguments: [
            ErrorCategory.invalid, .unauthenticated, .forbidden, .notFound, .conflict, .preconditionFailed, .tooLarge,
            .unprocessable,
        ]
    )
    func faultOfTheRequest(category: ErrorCategory) async {
        await #expect(throws: Refusal.self) {
            try await Fallback(.value(0)).run { throw Refusal(category: category) }
        }
    }

    @Test("every other error is answered", arguments: [ErrorCategory.rateLimited, .timeout, .unavailable, .internal])
    func faultOfTheDependency(category: ErrorCategory) async throws {
        #expect(try await Fallback(.value(0)).run { throw Refusal(category: category) }.value == 0)
    }

    @Test("the caller decides which errors are answered")
    func predicate() async throws {
        let fallback = Fallback(.value(0), when: { $0 as? Failure == Failure(number: 1) })
        #expect(try await fallback.run { throw Failure(number: 1) }.value == 0)
        await #expect(throws: Failure(number: 2)) { try await fallback.run { throw Failure(number: 2) } }
    }

    @Test("a cancelled caller gets the call's own error, even where everything is answered")
    func cancelled() async {
        let asked = Counter()
        let fallback = Fallback(.value(0), when: { _ in asked.increment() > 0 }, observer: events.record)
        let task = Task {
            try await fallback.run {
                try? await clock.sleep(for: .seconds(1))
                throw Failure(number: 3)
            }
        }
        await clock.waitForSleepers(1)
        task.cancel()
        await #expect(throws: Failure(number: 3)) { try await task.value }
        #expect(asked.value == 0)
        #expect(events.events.isEmpty)
    }

    @Test("a caller that is cancelled while a source is asked gets the call's own error")
    func cancelledDuringSource() async {
        let fallback = Fallback<Int>(
            .source {
                try? await clock.sleep(for: .seconds(1))
                return 1
            },
            .value(0)
        )
        let task = Task { try await fallback.run { throw Failure(number: 4) } }
        await clock.waitForSleepers(1)
        task.cancel()
        await #expect(throws: Failure(number: 4)) { try await task.value }
    }

    @Test("a cancellation error in a task that is not cancelled is a failure like others")
    func innerCancellation() async throws {
        #expect(try await Fallback(.value(0)).run { throw CancellationError() }.value == 0)
    }

    @Test("a source is asked when the call's own limit is over, and not once an outer deadline is")
    func deadlines() async throws {
        let timeSource = TimeSource(clock)
        let asked = Counter()
        let fallback = Fallback<Int>(
            .source {
                #expect(Deadline.current?.isExpired != true)
                return asked.increment()
            },
            .value(0)
        )
        let expired = Deadline(instant: timeSource.now, timeSource: timeSource)
        let inside = try await fallback.run {
            try DeadlineScope.$innermost.withValue(DeadlineScope(expired)) { throw Failure() }
        }
        #expect(inside.value == 1)
        let outside = try await DeadlineScope.$innermost.withValue(DeadlineScope(expired)) {
            try await fallback.run { throw Failure() }
        }
        #expect(outside.value == 0)
        #expect(asked.value == 1)
    }

    @Test("a policy runs a call with its answers outside")
    func policy() async throws {
        let breaker = Breaker(BreakerConfiguration(trip: .consecutiveFailures(1)), clock: clock)
        let last = LastGoodValue<[Int]>(maximumAge: .seconds(60), clock: clock)
        for _ in 0..<2 {
            let value = try await breaker.run(or: .stale(last), .value([])) { throw Failure() }
            #expect(value.isEmpty)
        }
        // The second was refused by the breaker, which saw the failure and not the answer.
        #expect(breaker.state == .open(remaining: .seconds(30)))
        clock.advance(by: .seconds(30))
        #expect(try await breaker.run(or: .stale(last), .value([])) { [1] } == [1])
        #expect(try await breaker.run(or: .stale(last), .value([])) { throw Failure() } == [1])
    }

    @Test("the record of a call tells by what it was answered")
    func trace() async throws {
        let trace = CallTrace(timeSource: TimeSource(clock))
        _ = try await CallTrace.$current.withValue(trace) {
            try await Fallback(.value(0)).run { throw Failure() }
        }
        let steps = trace.record(name: "test", outcome: .failure, error: nil).entries.map(\.step)
        guard case .fellBack(to: "value", let error)? = steps.first else {
            Issue.record("the steps are \(steps)")
            return
        }
        #expect(error is Failure)
    }

    @Test("values are remembered and read by thousands of tasks at once")
    func concurrent() async {
        let last = LastGoodValue<Int>(maximumAge: .seconds(60), clock: clock)
        let fallback = Fallback<Int>(.stale(last), .value(-1))
        await withTaskGroup { group in
            for call in 0..<2000 {
                group.addTask {
                    let result = try? await fallback.run {
                        if call % 2 == 0 { throw Failure() }
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
                throw Failure()
            }
        }
    }

    @Test("the call keeps the caller's isolation")
    func isolation() async throws {
        let shop = Shop()
        #expect(try await shop.rates(TimeoutPolicy(.seconds(3600))).isEmpty)
        #expect(await shop.calls == 1)
    }

    @Test("a stale value with no time to live is refused at construction")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = LastGoodValue<Int>(maximumAge: .zero) }
    }
}

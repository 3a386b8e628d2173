import ReliabilityCore
import ReliabilityTesting
import Retry
import TestSupport
import Testing

@Suite("RetryPolicy: nesting")
struct RetryPolicyNestingTests {
    private static func policy(
        _ maxAttempts: Int,
        _ classify: @escaping @Sendable (any Error) -> RetryDecision = { _ in .retry }
    ) -> RetryPolicy {
        RetryPolicy(
            RetryPolicy.Configuration(.idempotent, maxAttempts: maxAttempts, backoff: .none),
            classify: classify
        )
    }

    private static let limits = [(1, 1), (1, 4), (4, 1), (3, 3), (4, 3), (2, 5)]

    @Test("an outer policy does not repeat a call that an inner policy gave up", arguments: limits)
    func innerGivesUp(outer: Int, inner: Int) async {
        var runs = 0
        await #expect(throws: (any Error).self) {
            try await RetryPolicy(.idempotent(maxAttempts: outer, backoff: .none)).run {
                try await RetryPolicy(.idempotent(maxAttempts: inner, backoff: .none)).run {
                    runs += 1
                    throw TestError()
                }
            }
        }
        // A policy of one attempt repeats nothing, so the outer policy repeats the call.
        #expect(runs == (inner == 1 ? outer : inner))
    }

    @Test("an outer policy that retries every error makes a + b − 1 attempts", arguments: limits)
    func outerRetriesEveryError(outer: Int, inner: Int) async {
        var runs = 0
        await #expect(throws: (any Error).self) {
            try await Self.policy(outer).run {
                try await Self.policy(inner).run {
                    runs += 1
                    throw TestError()
                }
            }
        }
        #expect(runs == outer + inner - 1)
    }

    @Test("three nested policies make a + b + c − 2 attempts", arguments: limits)
    func threeLevels(outer: Int, inner: Int) async {
        var runs = 0
        await #expect(throws: RetryError.self) {
            try await Self.policy(outer).run {
                try await Self.policy(3).run {
                    try await Self.policy(inner).run {
                        runs += 1
                        throw TestError()
                    }
                }
            }
        }
        #expect(runs == outer + 3 + inner - 2)
    }

    @Test("an error that only the outer policy retries is not retried by the inner policy", arguments: limits)
    func onlyOuter(outer: Int, inner: Int) async {
        var runs = 0
        await #expect(throws: (any Error).self) {
            try await Self.policy(outer).run {
                try await Self.policy(inner) { _ in .stop }.run {
                    runs += 1
                    throw TestError()
                }
            }
        }
        #expect(runs == outer)
    }

    @Test("changing errors make at most a + b − 1 attempts", arguments: 0..<50)
    func changingErrors(seed: UInt64) async {
        var random = SeededGenerator(seed: seed)
        var runs = 0
        _ = try? await Self.policy(4).run {
            try await Self.policy(3) { $0 is TestReliabilityError ? .retry : .stop }.run {
                runs += 1
                if Bool.random(using: &random) { throw TestError() }
                throw TestReliabilityError()
            }
        }
        #expect(runs <= 6, "seed \(seed)")
    }

    @Test("during an outer retry the inner policy throws the attempt's own error")
    func ownError() async {
        var thrown: [String] = []
        _ = try? await Self.policy(3).run {
            do {
                try await Self.policy(2).run { throw TestError() }
            } catch {
                thrown.append("\(type(of: error))")
                throw error
            }
        }
        #expect(thrown == ["RetryError", "TestError", "TestError"])
    }

    @Test("an outer policy does not repeat a call that is not idempotent and made several attempts")
    func notIdempotentInside() async {
        var runs = 0
        let error = await #expect(throws: RetryError.self) {
            try await RetryPolicy(.idempotent(maxAttempts: 5, backoff: .none)).run {
                try await RetryPolicy(.notIdempotent(maxAttempts: 5, backoff: .none)).run {
                    runs += 1
                    if runs == 1 { throw NotSentError(TestError()) }
                    throw TestError()
                }
            }
        }
        #expect(runs == 2)
        #expect(error?.reason == .mayHaveBeenSent)
    }

    @Test("a task that outlives an extra attempt makes all of its own attempts")
    func leftBehind() async throws {
        let clock = ManualClock()
        let runs = ConcurrencyCounter()
        let started = EventRecorder<Task<Void, any Error>>()
        _ = try? await Self.policy(2).run {
            started.record(
                Task {
                    try await clock.sleep(for: .seconds(1))
                    try await Self.policy(3).run {
                        runs.increment()
                        throw TestError()
                    }
                }
            )
            throw TestError()
        }
        let last = try #require(started.events.last)
        await clock.waitForSleepers(2)
        started.events.first?.cancel()
        await clock.advanceToNextSleeper()
        await #expect(throws: RetryError.self) { try await last.value }
        #expect(runs.value == 3)
    }

    @Test("a task that an extra attempt starts and awaits makes one attempt")
    func unstructured() async {
        let runs = ConcurrencyCounter()
        _ = try? await Self.policy(3).run {
            try await Task {
                try await Self.policy(4).run {
                    runs.increment()
                    throw TestError()
                }
            }.value
        }
        #expect(runs.value == 3 + 4 - 1)
    }

    @Test("a call after a retried call makes all of its attempts")
    func afterwards() async throws {
        _ = try? await Self.policy(2).run { throw TestError() }
        var runs = 0
        _ = try? await Self.policy(3).run {
            runs += 1
            throw TestError()
        }
        #expect(runs == 3)
    }

    // MARK: Long attempts

    /// The attempts of a call that starts `after` the start of an outer policy's second attempt, and the events.
    private func attempts(after: Duration, leavingContext: Bool = false) async throws -> (Int, [String]) {
        let clock = ManualClock()
        let events = EventRecorder<RetryEvent>()
        let outer = RetryPolicy(
            RetryPolicy.Configuration(.idempotent, maxAttempts: 2, backoff: .none),
            clock: clock
        )
        let call = RetryPolicy(
            RetryPolicy.Configuration(.idempotent, maxAttempts: 3, backoff: .none),
            clock: clock,
            observer: events.record
        )
        var connections = 0
        var runs = 0
        _ = try? await outer.run {
            connections += 1
            if connections == 1 { throw TestError() }
            clock.advance(by: after)
            func consume() async throws {
                try await call.run {
                    runs += 1
                    throw TestError()
                }
            }
            if leavingContext { try await withoutCallContext { try await consume() } } else { try await consume() }
        }
        let seen = await events.wait(for: runs == 1 ? 1 : 3).map { event in
            switch event {
            case .retrying: "retrying"
            case .gaveUp: "gave up"
            case .suppressed: "suppressed"
            case .missed(let count): "missed \(count)"
            }
        }
        return (runs, seen)
    }

    @Test("a call in the first minute of an extra attempt makes one attempt and is reported as suppressed")
    func suppressed() async throws {
        let (runs, events) = try await attempts(after: .seconds(60))
        #expect(runs == 1)
        #expect(events == ["suppressed"])
    }

    @Test("a call more than a minute after the start of an extra attempt makes all of its attempts")
    func longLivedAttempt() async throws {
        let (runs, events) = try await attempts(after: .seconds(60) + .nanoseconds(1))
        #expect(runs == 3)
        #expect(events == ["retrying", "retrying", "gave up"])
    }

    @Test("a call outside of the call context of an extra attempt makes all of its attempts")
    func leftContext() async throws {
        let (runs, _) = try await attempts(after: .zero, leavingContext: true)
        #expect(runs == 3)
    }

    @Test("a call that lasts longer than a minute still belongs to the attempt that started the call")
    func slowCall() async throws {
        let clock = ManualClock()
        func policy(_ maxAttempts: Int) -> RetryPolicy {
            RetryPolicy(
                RetryPolicy.Configuration(.idempotent, maxAttempts: maxAttempts, backoff: .none),
                classify: { _ in .retry },
                clock: clock
            )
        }
        var runs = 0
        _ = try? await policy(3).run {
            try await policy(3).run {
                runs += 1
                clock.advance(by: .seconds(90))
                throw TestError()
            }
        }
        #expect(runs == 3 + 3 - 1)
    }
}

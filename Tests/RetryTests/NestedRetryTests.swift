import ReliabilityCore
import ReliabilityTesting
import Retry
import Testing

@Suite("Nested retries")
struct NestedRetryTests {
    private struct Failure: Error {}
    private struct Passing: ReliabilityError {
        var code: ErrorCode { "test.passing" }
        var category: ErrorCategory { .unavailable }
        var message: String { "Passing." }
    }

    private static func policy(
        _ maxAttempts: Int,
        _ classify: @escaping @Sendable (any Error) -> RetryDecision = { _ in .retry }
    ) -> RetryPolicy {
        RetryPolicy(RetryConfiguration(.idempotent, maxAttempts: maxAttempts, backoff: .none), classify: classify)
    }

    private static let limits = [(1, 1), (1, 4), (4, 1), (3, 3), (4, 3), (2, 5)]

    @Test("INV-39: what an inner policy gave up after attempts, an outer one does not repeat", arguments: limits)
    func innerGivesUp(outer: Int, inner: Int) async {
        var runs = 0
        await #expect(throws: (any Error).self) {
            try await RetryPolicy(.idempotent, maxAttempts: outer, backoff: .none).run {
                try await RetryPolicy(.idempotent, maxAttempts: inner, backoff: .none).run {
                    runs += 1
                    throw Failure()
                }
            }
        }
        // A policy of one attempt repeats nothing, and leaves all to the outer one.
        #expect(runs == (inner == 1 ? outer : inner))
    }

    @Test("INV-39: an outer policy that repeats even that makes a + b − 1 attempts", arguments: limits)
    func outerInsists(outer: Int, inner: Int) async {
        var runs = 0
        await #expect(throws: (any Error).self) {
            try await Self.policy(outer).run {
                try await Self.policy(inner).run {
                    runs += 1
                    throw Failure()
                }
            }
        }
        #expect(runs == outer + inner - 1)
    }

    @Test("INV-39: three levels make a + b + c − 2 attempts at most", arguments: limits)
    func threeLevels(outer: Int, inner: Int) async {
        var runs = 0
        await #expect(throws: RetryError.self) {
            try await Self.policy(outer).run {
                try await Self.policy(3).run {
                    try await Self.policy(inner).run {
                        runs += 1
                        throw Failure()
                    }
                }
            }
        }
        #expect(runs == outer + 3 + inner - 2)
    }

    @Test("INV-39: an error that only the outer policy repeats is repeated by it alone", arguments: limits)
    func onlyOuter(outer: Int, inner: Int) async {
        var runs = 0
        await #expect(throws: (any Error).self) {
            try await Self.policy(outer).run {
                try await Self.policy(inner) { _ in .stop }.run {
                    runs += 1
                    throw Failure()
                }
            }
        }
        #expect(runs == outer)
    }

    @Test("INV-39: errors that change from attempt to attempt do not make more than a + b − 1", arguments: 0..<50)
    func changingErrors(seed: UInt64) async {
        var random = SeededGenerator(seed: seed)
        var runs = 0
        _ = try? await Self.policy(4).run {
            try await Self.policy(3) { $0 is Passing ? .retry : .stop }.run {
                runs += 1
                if Bool.random(using: &random) { throw Failure() }
                throw Passing()
            }
        }
        #expect(runs <= 6, "seed \(seed)")
    }

    @Test("while the outer policy repeats, the inner one throws the attempt's own error")
    func ownError() async {
        var thrown: [String] = []
        _ = try? await Self.policy(3).run {
            do {
                try await Self.policy(2).run { throw Failure() }
            } catch {
                thrown.append("\(type(of: error))")
                throw error
            }
        }
        #expect(thrown == ["RetryError", "Failure", "Failure"])
    }

    @Test("a call that is not idempotent and was given up after several attempts is not repeated by an outer policy")
    func notIdempotentInside() async {
        var runs = 0
        let error = await #expect(throws: RetryError.self) {
            try await RetryPolicy(.idempotent, maxAttempts: 5, backoff: .none).run {
                try await RetryPolicy(.notIdempotent, maxAttempts: 5, backoff: .none).run {
                    runs += 1
                    if runs == 1 { throw NotSentError(Failure()) }
                    throw Failure()
                }
            }
        }
        #expect(runs == 2)
        #expect(error?.reason == .mayHaveBeenSent)
    }

    @Test("work that an extra attempt leaves behind has its own attempts once that attempt is over")
    func leftBehind() async throws {
        let clock = ManualClock()
        let runs = Counter()
        let started = EventRecorder<Task<Void, any Error>>()
        _ = try? await Self.policy(2).run {
            started.record(
                Task {
                    try await clock.sleep(for: .seconds(1))
                    try await Self.policy(3).run {
                        runs.increment()
                        throw Failure()
                    }
                }
            )
            throw Failure()
        }
        let last = try #require(started.events.last)
        await clock.waitForSleepers(2)
        started.events.first?.cancel()
        await clock.advanceToNextSleeper()
        await #expect(throws: RetryError.self) { try await last.value }
        #expect(runs.value == 3)
    }

    @Test("work that an extra attempt starts in a task of its own and waits for makes one attempt")
    func unstructured() async {
        let runs = Counter()
        _ = try? await Self.policy(3).run {
            try await Task {
                try await Self.policy(4).run {
                    runs.increment()
                    throw Failure()
                }
            }.value
        }
        #expect(runs.value == 3 + 4 - 1)
    }

    @Test("a call after one that was repeated has all its attempts")
    func afterwards() async throws {
        _ = try? await Self.policy(2).run { throw Failure() }
        var runs = 0
        _ = try? await Self.policy(3).run {
            runs += 1
            throw Failure()
        }
        #expect(runs == 3)
    }

    // MARK: Attempts that last

    /// The attempts of a call that begins `after` the beginning of a supervisor's second attempt.
    private func attempts(after: Duration, leavingContext: Bool = false) async throws -> (Int, [String]) {
        let clock = ManualClock()
        let events = EventRecorder<RetryEvent>()
        let supervisor = RetryPolicy(
            RetryConfiguration(.idempotent, maxAttempts: 2, backoff: .none),
            clock: clock
        )
        let call = RetryPolicy(
            RetryConfiguration(.idempotent, maxAttempts: 3, backoff: .none),
            clock: clock,
            observer: events.record
        )
        var connections = 0
        var runs = 0
        _ = try? await supervisor.run {
            connections += 1
            if connections == 1 { throw Failure() }
            clock.advance(by: after)
            func consume() async throws {
                try await call.run {
                    runs += 1
                    throw Failure()
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

    @Test("a call at the beginning of a later attempt makes one attempt, and the observer is told")
    func suppressed() async throws {
        let (runs, events) = try await attempts(after: .seconds(60))
        #expect(runs == 1)
        #expect(events == ["suppressed"])
    }

    @Test("a call that begins more than a minute after a later attempt did has all its attempts")
    func longLivedAttempt() async throws {
        let (runs, events) = try await attempts(after: .seconds(60) + .nanoseconds(1))
        #expect(runs == 3)
        #expect(events == ["retrying", "retrying", "gave up"])
    }

    @Test("a call outside of the context of a later attempt has all its attempts")
    func leftContext() async throws {
        let (runs, _) = try await attempts(after: .zero, leavingContext: true)
        #expect(runs == 3)
    }

    @Test("a call that lasts longer than a minute stays part of the attempt in which it began")
    func slowCall() async throws {
        let clock = ManualClock()
        func policy(_ maxAttempts: Int) -> RetryPolicy {
            RetryPolicy(
                RetryConfiguration(.idempotent, maxAttempts: maxAttempts, backoff: .none),
                classify: { _ in .retry },
                clock: clock
            )
        }
        var runs = 0
        _ = try? await policy(3).run {
            try await policy(3).run {
                runs += 1
                clock.advance(by: .seconds(90))
                throw Failure()
            }
        }
        #expect(runs == 3 + 3 - 1)
    }
}

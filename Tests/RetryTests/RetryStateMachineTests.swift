import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Retry

@Suite("RetryStateMachine")
struct RetryStateMachineTests {
    private static let second: Int64 = 1_000_000_000
    private static let decisions: [RetryDecision] = [
        .retry, .stop, .retryAfter(.zero), .retryAfter(.seconds(5)), .retryAfter(.seconds(100)),
        .retryAfter(.seconds(Int64.max)), .retryAfter(.seconds(-1)), .retryAfter(Duration(attoseconds: .min)),
    ]
    private static let failures: [RetryStateMachine.Failure] = decisions.flatMap { decision in
        [
            RetryStateMachine.Failure(decision: decision),
            RetryStateMachine.Failure(decision: decision, mayHaveBeenSent: false),
            RetryStateMachine.Failure(decision: decision, category: .rateLimited),
            RetryStateMachine.Failure(decision: decision, mayHaveBeenSent: false, isRejection: true),
        ]
    }
    private static let remaining: [Int64?] = [nil, 0, second, 5 * second, 8 * second, .max]

    private let random = RandomSource(SeededGenerator(seed: 1))

    @Test(
        "every sequence of up to four failures ends within the configured attempts and never waits past a limit",
        arguments: [Idempotency.idempotent, .notIdempotent],
        [Duration.zero, .seconds(10)]
    )
    func exhaustive(idempotency: Idempotency, rejectionWait: Duration) {
        let configuration = RetryPolicy.Configuration(
            idempotency,
            maxAttempts: 3,
            backoff: .constant(.seconds(2), jitter: .none),
            throttledBackoff: .constant(.seconds(3), jitter: .none),
            maxRejectionWait: rejectionWait,
            minAttemptDuration: .seconds(1)
        )
        func explore(_ state: RetryStateMachine, depth: Int) {
            for failure in Self.failures {
                for left in Self.remaining {
                    let action = state.attemptFailed(
                        failure,
                        configuration: configuration,
                        remaining: left,
                        isSuppressed: false,
                        random: random
                    )
                    switch action {
                    case .rethrow: #expect(failure.decision == .stop || failure.isRejection && state.attempt == 1)
                    case .giveUp(let reason):
                        switch reason {
                        case .attemptsExhausted: #expect(state.attempt == 3)
                        case .deadlineTooClose: #expect(left != nil)
                        case .retryAfterTooLong: #expect(failure.decision != .retry && !failure.isRejection)
                        case .rejected: #expect(failure.isRejection && state.attempt > 1)
                        case .mayHaveBeenSent: #expect(failure.mayHaveBeenSent && idempotency == .notIdempotent)
                        case .budgetExhausted, .notRetryable: Issue.record("only the executor gives up so")
                        }
                    case .retry(let wait):
                        #expect(state.attempt < 3)
                        #expect(!failure.isRejection || rejectionWait > .zero)
                        #expect(idempotency == .idempotent || !failure.mayHaveBeenSent)
                        #expect(wait >= (failure.isThrottled ? 3 : 2) * Self.second && wait <= 60 * Self.second)
                        if case .retryAfter(let floor) = failure.decision { #expect(.nanoseconds(wait) >= floor) }
                        if let left { #expect(wait + Self.second < left) }
                        var next = state
                        next.attemptStarted(after: wait)
                        #expect(next.attempt == state.attempt + 1)
                        if depth < 4 { explore(next, depth: depth + 1) }
                    }
                }
            }
        }
        explore(RetryStateMachine(), depth: 1)
    }

    @Test("a call inside an extra attempt is not retried after any failure")
    func suppressed() {
        for failure in Self.failures {
            let action = RetryStateMachine().attemptFailed(
                failure,
                configuration: RetryPolicy.Configuration(.idempotent, maxAttempts: .max),
                remaining: nil,
                isSuppressed: true,
                random: random
            )
            #expect(action == .rethrow)
        }
    }

    @Test("a decorrelated wait depends on the previous wait")
    func previousWait() {
        let configuration = RetryPolicy.Configuration(
            .idempotent,
            maxAttempts: 1000,
            backoff: .decorrelated(initial: .seconds(1), max: .seconds(1_000_000))
        )
        var state = RetryStateMachine()
        var previous = Self.second
        for _ in 1..<1000 {
            let action = state.attemptFailed(
                RetryStateMachine.Failure(decision: .retry),
                configuration: configuration,
                remaining: nil,
                isSuppressed: false,
                random: random
            )
            guard case .retry(let wait) = action else {
                Issue.record("\(action)")
                return
            }
            #expect(wait >= Self.second && wait <= 3 * previous)
            state.attemptStarted(after: wait)
            previous = wait
        }
    }

    @Test("extreme numbers saturate")
    func extreme() {
        let configuration = RetryPolicy.Configuration(
            .idempotent,
            maxAttempts: .max,
            backoff: .exponential(initial: .seconds(Int64.max), max: Duration(attoseconds: .max)),
            throttledBackoff: .decorrelated(initial: .zero, max: Duration(attoseconds: .max)),
            maxRetryAfter: Duration(attoseconds: .max),
            maxRejectionWait: Duration(attoseconds: .max),
            minAttemptDuration: Duration(attoseconds: .max)
        )
        for failure in Self.failures where failure.decision != .stop {
            let action = RetryStateMachine().attemptFailed(
                failure,
                configuration: configuration,
                remaining: .max,
                isSuppressed: false,
                random: random
            )
            #expect(action == .giveUp(.deadlineTooClose))
        }
        #expect(configuration.maxTotalWait == .nanoseconds(Int64.max))
    }
}

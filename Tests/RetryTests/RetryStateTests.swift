import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Retry

@Suite("RetryState")
struct RetryStateTests {
    private static let second: Int64 = 1_000_000_000
    private static let decisions: [RetryDecision] = [
        .retry, .stop, .retryAfter(.zero), .retryAfter(.seconds(5)), .retryAfter(.seconds(100)),
        .retryAfter(.seconds(Int64.max)), .retryAfter(.seconds(-1)), .retryAfter(Duration(attoseconds: .min)),
    ]
    private static let failures: [RetryState.Failure] = decisions.flatMap { decision in
        [
            RetryState.Failure(decision: decision),
            RetryState.Failure(decision: decision, mayHaveBeenSent: false),
            RetryState.Failure(decision: decision, category: .rateLimited),
            RetryState.Failure(decision: decision, mayHaveBeenSent: false, isRejection: true),
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
        let configuration = RetryConfiguration(
            idempotency,
            maxAttempts: 3,
            backoff: .constant(.seconds(2), jitter: .none),
            throttledBackoff: .constant(.seconds(3), jitter: .none),
            maximumRejectionWait: rejectionWait,
            minimumAttempt: .seconds(1)
        )
        func explore(_ state: RetryState, depth: Int) {
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
                        case .budgetExhausted: Issue.record("the state knows no budget")
                        }
                    case .retry(let wait):
                        #expect(state.attempt < 3)
                        #expect(!failure.isRejection || rejectionWait > .zero)
                        #expect(idempotency == .idempotent || !failure.mayHaveBeenSent)
                        #expect(wait >= (failure.isThrottled ? 3 : 2) * Self.second && wait <= 60 * Self.second)
                        if case .retryAfter(let floor) = failure.decision { #expect(.nanoseconds(wait) >= floor) }
                        if let left { #expect(wait + Self.second < left) }
                        var next = state
                        next.attemptBegins(after: wait)
                        #expect(next.attempt == state.attempt + 1)
                        if depth < 4 { explore(next, depth: depth + 1) }
                    }
                }
            }
        }
        explore(RetryState(), depth: 1)
    }

    @Test("INV-39: a call that is itself an extra attempt is not tried again, whatever it threw")
    func suppressed() {
        for failure in Self.failures {
            let action = RetryState().attemptFailed(
                failure,
                configuration: RetryConfiguration(.idempotent, maxAttempts: .max),
                remaining: nil,
                isSuppressed: true,
                random: random
            )
            #expect(action == .rethrow)
        }
    }

    @Test("a decorrelated wait knows the one before it")
    func previousWait() {
        let configuration = RetryConfiguration(
            .idempotent,
            maxAttempts: 1000,
            backoff: .decorrelated(initial: .seconds(1), cap: .seconds(1_000_000))
        )
        var state = RetryState()
        var previous = Self.second
        for _ in 1..<1000 {
            let action = state.attemptFailed(
                RetryState.Failure(decision: .retry),
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
            state.attemptBegins(after: wait)
            previous = wait
        }
    }

    @Test("absurd numbers saturate: no sum of waits and no comparison traps")
    func absurd() {
        let configuration = RetryConfiguration(
            .idempotent,
            maxAttempts: .max,
            backoff: .exponential(initial: .seconds(Int64.max), cap: Duration(attoseconds: .max)),
            throttledBackoff: .decorrelated(initial: .zero, cap: Duration(attoseconds: .max)),
            maximumRetryAfter: Duration(attoseconds: .max),
            maximumRejectionWait: Duration(attoseconds: .max),
            minimumAttempt: Duration(attoseconds: .max)
        )
        for failure in Self.failures where failure.decision != .stop {
            let action = RetryState().attemptFailed(
                failure,
                configuration: configuration,
                remaining: .max,
                isSuppressed: false,
                random: random
            )
            #expect(action == .giveUp(.deadlineTooClose))
        }
        #expect(configuration.longestWaits == .nanoseconds(Int64.max))
    }
}

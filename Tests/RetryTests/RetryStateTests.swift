import Testing

@testable import Retry

@Suite("RetryState")
struct RetryStateTests {
    private static let decisions: [RetryDecision] = [
        .retry, .stop, .retryAfter(.zero), .retryAfter(.seconds(5)), .retryAfter(.seconds(100)),
        .retryAfter(.seconds(Int64.max)),
    ]
    private static let remaining: [Duration?] = [nil, .zero, .seconds(1), .seconds(5), .seconds(6)]

    @Test("every sequence of up to four failures ends within the configured attempts and never waits past a limit")
    func exhaustive() {
        let configuration = RetryConfiguration(maxAttempts: 3, backoff: .none, maximumRetryAfter: .seconds(60))
        func explore(_ state: RetryState, depth: Int) {
            for decision in Self.decisions {
                for left in Self.remaining {
                    var next = state
                    let action = next.attemptFailed(
                        decision,
                        configuration: configuration,
                        remaining: left,
                        backoff: { _ in .seconds(2) }
                    )
                    switch action {
                    case .rethrow:
                        #expect(decision == .stop)
                        #expect(next.attempt == state.attempt)
                    case .giveUp(let reason):
                        #expect(next.attempt == state.attempt)
                        switch reason {
                        case .attemptsExhausted: #expect(state.attempt == 3)
                        case .deadlineTooClose: #expect(left != nil)
                        case .retryAfterTooLong: #expect(decision != .retry)
                        }
                    case .retry(let wait):
                        #expect(state.attempt < 3 && next.attempt == state.attempt + 1)
                        #expect(wait >= .seconds(2) && wait <= .seconds(60))
                        if case .retryAfter(let floor) = decision { #expect(wait >= floor) }
                        if let left { #expect(wait < left) }
                        if depth < 4 { explore(next, depth: depth + 1) }
                    }
                }
            }
        }
        explore(RetryState(), depth: 1)
    }
}

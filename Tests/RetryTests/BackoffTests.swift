import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Retry

@Suite("Backoff")
struct BackoffTests {
    @Test(
        "INV-22: every wait is between zero and the cap, for any attempt, jitter and seed",
        arguments: [Backoff.Jitter.none, .full, .equal]
    )
    func bounds(jitter: Backoff.Jitter) {
        let cap = Duration.seconds(20)
        let backoffs = [
            Backoff.exponential(initial: .nanoseconds(1), cap: cap, jitter: jitter),
            .exponential(initial: .milliseconds(100), cap: cap, jitter: jitter),
            .exponential(initial: .zero, cap: cap, jitter: jitter),
            .exponential(initial: cap, cap: cap, jitter: jitter),
            .constant(cap, jitter: jitter),
        ]
        for seed in UInt64(0)..<20 {
            let random = RandomSource(SeededGenerator(seed: seed))
            for backoff in backoffs {
                for attempt in [Int.min, -1, 0, 1, 2, 3, 10, 31, 32, 62, 63, 64, 65, 1_000_000, .max] {
                    let wait = backoff.wait(afterAttempt: attempt, random: random)
                    #expect(wait >= .zero && wait <= cap, "seed \(seed), attempt \(attempt), \(backoff)")
                }
            }
        }
    }

    @Test("an absurd cap saturates instead of trapping")
    func absurd() {
        let backoff = Backoff.exponential(initial: .seconds(1), cap: .seconds(Int64.max), jitter: .none)
        let random = RandomSource(SeededGenerator(seed: 1))
        #expect(backoff.wait(afterAttempt: .max, random: random) == .nanoseconds(Int64.max))
    }

    @Test("full jitter spreads over the whole wait, equal jitter over its upper half")
    func spread() {
        let random = RandomSource(SeededGenerator(seed: 7))
        let full = (0..<1000).map { _ in
            Backoff.constant(.seconds(1), jitter: .full).wait(afterAttempt: 1, random: random)
        }
        let equal = (0..<1000).map { _ in
            Backoff.constant(.seconds(1), jitter: .equal).wait(afterAttempt: 1, random: random)
        }
        #expect(full.contains { $0 < .milliseconds(50) } && full.contains { $0 > .milliseconds(950) })
        #expect(equal.allSatisfy { $0 >= .milliseconds(500) } && equal.contains { $0 < .milliseconds(550) })
    }

    @Test("a cap below the first wait is refused at construction")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) {
            _ = Backoff.exponential(initial: .seconds(2), cap: .seconds(1))
        }
    }
}

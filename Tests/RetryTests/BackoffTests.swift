import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Retry

@Suite("Backoff")
struct BackoffTests {
    private static let attempts = [Int.min, -1, 0, 1, 2, 3, 10, 31, 32, 39, 40, 62, 63, 64, 65, 1_000_000, .max]
    private static let extremes: [Duration] = [
        .zero, Duration(attoseconds: 1), Duration(attoseconds: 1_500_000_000), .nanoseconds(1), .milliseconds(100),
        .seconds(20), .nanoseconds(Int64.max), .seconds(Int64.max), Duration(attoseconds: .max),
    ]

    /// Every kind of backoff between two waits.
    private static func backoffs(_ initial: Duration, _ cap: Duration) -> [Backoff] {
        [Backoff.Jitter.none, .full, .equal].flatMap { jitter in
            [.exponential(initial: initial, cap: cap, jitter: jitter), .constant(cap, jitter: jitter)]
        } + [.decorrelated(initial: initial, cap: cap)]
    }

    @Test(
        "INV-22: every wait is between zero and the cap, for any attempt, jitter, seed and extreme",
        arguments: 0..<20
    )
    func bounds(seed: UInt64) {
        let random = RandomSource(SeededGenerator(seed: seed))
        for cap in Self.extremes {
            for initial in Self.extremes where initial <= cap {
                for backoff in Self.backoffs(initial, cap) {
                    var previous: Duration?
                    for attempt in Self.attempts {
                        let wait = backoff.wait(afterAttempt: attempt, previous: previous, random: random)
                        #expect(wait >= .zero && wait <= cap, "seed \(seed), attempt \(attempt), \(backoff)")
                        let unrelated = backoff.wait(afterAttempt: attempt, previous: cap, random: random)
                        #expect(unrelated >= .zero && unrelated <= cap, "seed \(seed), attempt \(attempt), \(backoff)")
                        previous = wait
                    }
                }
            }
        }
    }

    @Test("INV-22: a million attempts in a row stay between zero and the cap")
    func everyAttempt() {
        let random = RandomSource(SeededGenerator(seed: 3))
        for backoff in [Backoff.exponential(), .decorrelated()] {
            var previous: Duration?
            var outside = 0
            for attempt in 1...1_000_000 {
                let wait = backoff.wait(afterAttempt: attempt, previous: previous, random: random)
                if wait < .zero || wait > .seconds(20) { outside += 1 }
                previous = wait
            }
            #expect(outside == 0, "\(backoff)")
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

    @Test("a decorrelated wait is between the shortest one and three times the one before")
    func decorrelated() {
        let random = RandomSource(SeededGenerator(seed: 7))
        let backoff = Backoff.decorrelated(initial: .seconds(1), cap: .seconds(100))
        let waits = (0..<1000).map { _ in
            backoff.wait(afterAttempt: 9, previous: .seconds(4), random: random)
        }
        #expect(waits.allSatisfy { $0 >= .seconds(1) && $0 <= .seconds(12) })
        #expect(waits.contains { $0 < .milliseconds(1200) } && waits.contains { $0 > .milliseconds(11_800) })
    }

    @Test("decorrelated waits do not gather at the cap")
    func decorrelatedAtTheCap() {
        let random = RandomSource(SeededGenerator(seed: 7))
        let backoff = Backoff.decorrelated(initial: .seconds(1), cap: .seconds(10))
        let waits = (0..<1000).map { _ in
            backoff.wait(afterAttempt: 50, previous: .seconds(10), random: random)
        }
        #expect(waits.count { $0 >= .seconds(9) } < 200)
    }

    @Test("a wait that was asked for is spread upwards only, and never overflows", arguments: 0..<100)
    func askedFor(seed: UInt64) {
        let random = RandomSource(SeededGenerator(seed: seed))
        for floor in Self.extremes where floor > .zero {
            let wait = Backoff.exponential().wait(noLessThan: floor, random: random)
            #expect(wait >= min(floor, .nanoseconds(Int64.max)) && wait <= .nanoseconds(Int64.max))
            if floor == .seconds(20) { #expect(wait <= .seconds(22)) }
            let exact = Backoff.none.wait(noLessThan: floor, random: random)
            #expect(exact >= min(floor, .nanoseconds(Int64.max)))
        }
        #expect(Backoff.exponential().wait(noLessThan: .seconds(Int64.min), random: random) == .zero)
    }

    @Test("a backoff says in words what it does")
    func description() {
        #expect("\(Backoff.none)" == "no waits")
        #expect("\(Backoff.constant(.seconds(1), jitter: .none))" == "waits of 1.0 seconds, no jitter")
        #expect("\(Backoff.exponential())" == "waits of 0.1 seconds, doubling up to 20.0 seconds, full jitter")
        #expect("\(Backoff.decorrelated())" == "waits from 0.1 seconds to 20.0 seconds, decorrelated jitter")
    }

    @Test("a cap below the first wait is refused at construction")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) {
            _ = Backoff.exponential(initial: .seconds(2), cap: .seconds(1))
        }
    }
}

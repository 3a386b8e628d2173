import ReliabilityCore
import ReliabilityTesting
import TestSupport
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
            [
                .exponential(initial: initial, max: cap, jitter: jitter), .constant(cap, jitter: jitter),
                .schedule([initial, cap], jitter: jitter),
            ]
        } + [.decorrelated(initial: initial, max: cap)]
    }

    @Test(
        "every wait is between zero and the cap",
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

    @Test("a million consecutive waits stay between zero and the cap")
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

    @Test("an extreme cap saturates")
    func extreme() {
        let backoff = Backoff.exponential(initial: .seconds(1), max: .seconds(Int64.max), jitter: .none)
        let random = RandomSource(SeededGenerator(seed: 1))
        #expect(backoff.wait(afterAttempt: .max, random: random) == .nanoseconds(Int64.max))
    }

    @Test("full jitter spreads over the whole wait and equal jitter over its upper half")
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

    @Test("a decorrelated wait is between the initial wait and three times the previous wait")
    func decorrelated() {
        let random = RandomSource(SeededGenerator(seed: 7))
        let backoff = Backoff.decorrelated(initial: .seconds(1), max: .seconds(100))
        let waits = (0..<1000).map { _ in
            backoff.wait(afterAttempt: 9, previous: .seconds(4), random: random)
        }
        #expect(waits.allSatisfy { $0 >= .seconds(1) && $0 <= .seconds(12) })
        #expect(waits.contains { $0 < .milliseconds(1200) } && waits.contains { $0 > .milliseconds(11_800) })
    }

    @Test("decorrelated waits do not gather at the cap")
    func decorrelatedAtTheCap() {
        let random = RandomSource(SeededGenerator(seed: 7))
        let backoff = Backoff.decorrelated(initial: .seconds(1), max: .seconds(10))
        let waits = (0..<1000).map { _ in
            backoff.wait(afterAttempt: 50, previous: .seconds(10), random: random)
        }
        #expect(waits.count { $0 >= .seconds(9) } < 200)
    }

    @Test("jitter only lengthens a requested wait and never overflows", arguments: 0..<100)
    func requestedWait(seed: UInt64) {
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

    @Test("a backoff describes itself")
    func description() {
        #expect("\(Backoff.none)" == "no waits")
        #expect("\(Backoff.constant(.seconds(1), jitter: .none))" == "waits of 1 s, no jitter")
        #expect("\(Backoff.exponential())" == "waits of 100 ms, doubling up to 20 s, full jitter")
        #expect("\(Backoff.decorrelated())" == "waits from 100 ms to 20 s, decorrelated jitter")
    }

    @Test("invalid waits are rejected with their values")
    func misconfiguration() async {
        #expect(
            problems(of: Backoff.exponential(initial: .seconds(2), max: .seconds(1)).validate)
                == ["a wait must not be shorter than the wait before of 2.0 seconds (is 1.0 seconds)"]
        )
        #expect(problems(of: Backoff.constant(.seconds(-1)).validate).count == 1)
        #expect(problems(of: Backoff.schedule([]).validate) == ["a schedule must have from 1 to 64 waits (has 0)"])
        #expect(problems(of: Backoff.schedule(Array(repeating: .zero, count: 65)).validate).count == 1)
        #expect(
            problems(of: Backoff.schedule([.seconds(2), .seconds(1)]).validate)
                == ["a wait must not be shorter than the wait before of 2.0 seconds (is 1.0 seconds)"]
        )
        #expect(problems(of: Backoff.schedule([.zero, .seconds(1), .seconds(1)]).validate) == [])
        await #expect(processExitsWith: .failure) {
            _ = RetryPolicy(.idempotent(maxAttempts: 2, backoff: .schedule([])))
        }
    }

    @Test("a schedule returns its waits in order and repeats the last wait")
    func schedule() {
        let backoff = Backoff.schedule([.seconds(5), .seconds(60), .seconds(600)], jitter: .none)
        let random = RandomSource(SeededGenerator(seed: 1))
        let waits = [Int.min, 0, 1, 2, 3, 4, .max].map { backoff.wait(afterAttempt: $0, random: random) }
        #expect(waits == [5, 5, 5, 60, 600, 600, 600].map { .seconds($0) })
        #expect(
            "\(backoff)" == "waits of 5 s, 1 min, 10 min, no jitter"
                || "\(backoff)" == "waits of 5 s, 60 s, 10 min, no jitter"
        )
        let jittered = Backoff.schedule([.seconds(5), .seconds(60)])
        for attempt in 1...100 {
            let longest: Duration = attempt == 1 ? .seconds(5) : .seconds(60)
            let wait = jittered.wait(afterAttempt: attempt, random: random)
            #expect(wait >= longest / 2 && wait <= longest)
        }
    }
}

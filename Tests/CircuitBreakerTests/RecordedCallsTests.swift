import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import CircuitBreaker

@Suite("RecordedCalls")
struct RecordedCallsTests {
    /// The number, from 1, of the first call that opens the breaker, or `nil` if no call opens the breaker.
    private func firstTrip(_ trip: TripCondition, _ calls: [(at: Int64, outcome: Outcome)]) -> Int? {
        var window = RecordedCalls(trip)
        for (index, call) in calls.enumerated() where call.outcome != .ignored {
            let ended = RecordedCalls.Call(hasFailed: call.outcome == .failure)
            if window.record(ended, running: 0, now: call.at) { return index + 1 }
        }
        return nil
    }

    private func at(_ seconds: Int64) -> Int64 { seconds * 1_000_000_000 }

    @Test("consecutive failures open at the count, and a success resets the count", arguments: 1...4)
    func consecutive(limit: Int) {
        let trip = TripCondition.consecutiveFailures(limit)
        let failures = Array(repeating: (at: Int64(0), outcome: Outcome.failure), count: limit)
        #expect(firstTrip(trip, failures) == limit)
        #expect(firstTrip(trip, failures.dropLast() + [(0, .success)] + failures.dropLast()) == nil)
        #expect(firstTrip(trip, failures.dropLast() + [(0, .ignored), (0, .failure)]) == limit + 1)
    }

    @Test("consecutive failures open after their duration, and a short burst does not")
    func lasting() {
        let trip = TripCondition.standard
        let successes = Array(repeating: (at: at(0), outcome: Outcome.success), count: 1000)
        let burst = (0..<500).map { (at: at(1) + Int64($0) * 30_000, outcome: Outcome.failure) }
        #expect(firstTrip(trip, successes + burst) == nil)
        #expect(firstTrip(trip, successes + burst + [(at(2) - 1, .failure)]) == nil)
        #expect(firstTrip(trip, successes + burst + [(at(2), .failure)]) == 1501)
        #expect(firstTrip(trip, successes + burst + [(at(2) - 1, .success), (at(2), .failure)]) == nil)
        #expect(!problems(of: TripCondition.consecutiveFailures(1, lasting: .seconds(-1)).validate).isEmpty)
    }

    @Test("three failures in a minute open, regardless of successes between them")
    func threeInAMinute() {
        let trip = TripCondition.failures(3, within: .seconds(60))
        #expect(firstTrip(trip, [(at(0), .failure), (at(1), .success), (at(30), .failure), (at(59), .failure)]) == 4)
    }

    @Test("a failure as old as the window does not count, and a failure a nanosecond younger counts")
    func windowBoundary() {
        let trip = TripCondition.failures(2, within: .seconds(60))
        #expect(firstTrip(trip, [(at(0), .failure), (at(60), .failure)]) == nil)
        #expect(firstTrip(trip, [(at(0), .failure), (at(60) - 1, .failure)]) == 2)
    }

    @Test("the window of failures slides")
    func failuresSlide() {
        let trip = TripCondition.failures(3, within: .seconds(60))
        let apart = (0..<10).map { (at: at($0 * 30), outcome: Outcome.failure) }
        #expect(firstTrip(trip, apart) == nil)
        #expect(firstTrip(trip, apart + [(at(285), .failure)]) == 11)
    }

    @Test("the failure rate opens at the rate and the minimum of calls, and not below")
    func rateBoundaries() {
        let trip = TripCondition.failureRate(0.5, minCalls: 4, within: .seconds(10))
        #expect(firstTrip(trip, [(0, .failure), (0, .failure), (0, .failure)]) == nil)
        #expect(firstTrip(trip, [(0, .success), (0, .success), (0, .failure), (0, .failure)]) == 4)
        #expect(firstTrip(trip, [(0, .success), (0, .success), (0, .success), (0, .failure), (0, .failure)]) == nil)
        #expect(firstTrip(trip, [(0, .failure), (0, .failure), (0, .failure), (0, .success)]) == nil)
        #expect(firstTrip(trip, [(0, .failure), (0, .ignored), (0, .failure), (0, .failure), (0, .failure)]) == 5)
    }

    @Test("a decimal rate opens at its exact share of failures", arguments: 1...99)
    func decimalRates(percent: Int) {
        let trip = TripCondition.failureRate(Double(percent) / 100, minCalls: 100, within: .seconds(10))
        let successes = Array(repeating: (at: Int64(0), outcome: Outcome.success), count: 100 - percent)
        let failures = Array(repeating: (at: Int64(0), outcome: Outcome.failure), count: percent)
        #expect(firstTrip(trip, successes + failures) == 100)
        #expect(firstTrip(trip, [(0, .success)] + successes + failures) == nil)
    }

    @Test("combined rules count separately, and the first rule that is met opens")
    func combined() {
        let trip = TripCondition.failureRate(0.5, minCalls: 6, within: .seconds(10)).or(.consecutiveFailures(3))
        let failure = (at: Int64(0), outcome: Outcome.failure)
        let success = (at: Int64(0), outcome: Outcome.success)
        #expect(firstTrip(trip, [failure, failure, failure]) == 3)
        #expect(firstTrip(trip, [success, failure, failure, success, failure, success, failure]) == 7)
        #expect(firstTrip(trip, [success, success, failure, failure, success, failure]) == 6)
        let all = trip.or(.failures(2, within: .seconds(1)))
        #expect(firstTrip(all, [failure, success, success, failure]) == 4)
        #expect(firstTrip(all, [failure, (at(1), .success), (at(1), .failure)]) == nil)
    }

    @Test("a changed combination keeps the counts of its unchanged rules")
    func combinedChange() {
        let rate = TripCondition.failureRate(1, minCalls: 9, within: .seconds(10))
        let old = rate.or(.consecutiveFailures(9))
        var window = RecordedCalls(old)
        func opens() -> Bool {
            window.record(RecordedCalls.Call(hasFailed: true), running: 0, now: 0)
        }
        for _ in 0..<3 { #expect(!opens()) }
        let new = TripCondition.failureRate(1, minCalls: 4, within: .seconds(20)).or(.consecutiveFailures(5))
        window.change(from: old, to: new)
        // The rate has another window and starts again. There are three consecutive failures.
        #expect(!opens())
        #expect(opens())
        let without = TripCondition.failureRate(1, minCalls: 5, within: .seconds(20))
        window.change(from: new, to: without)
        // Two calls are kept in the window.
        for _ in 0..<2 { #expect(!opens()) }
        #expect(opens())
        let count = TripCondition.consecutiveFailures(2)
        window.change(from: without, to: count)
        #expect(!opens(), "failures from before the rule counted")
        #expect(opens())
    }

    @Test("calls from before an idle window do not count")
    func idle() {
        let trip = TripCondition.failureRate(1, minCalls: 3, within: .seconds(10))
        #expect(firstTrip(trip, [(0, .failure), (0, .failure), (at(10), .failure)]) == nil)
        #expect(firstTrip(trip, [(0, .failure), (0, .failure), (at(9) - 1, .failure)]) == 3)
    }

    @Test(
        "the counts contain every call of the last nine tenths and no call older than the window",
        arguments: [Int64(1), 7, 10, 100, 1009],
        UInt64(0)..<8
    )
    func window(length: Int64, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var window = CallWindow(length: length)
        let nineTenths = length < 10 ? length - 1 : 9 * (length / 10)
        var calls: [(at: Int64, hasFailed: Bool)] = []
        var now = Int64.random(in: -2 * length...2 * length, using: &generator)
        for _ in 0..<400 {
            now += Int64.random(in: 0...max(1, length / 4), using: &generator)
            if Int.random(in: 0..<40, using: &generator) == 0 { now += 3 * length }
            let hasFailed = Bool.random(using: &generator)
            window.record(isHit: hasFailed, now: now)
            calls.append((now, hasFailed))
            let sure = calls.filter { now - $0.at <= nineTenths }
            let possible = calls.filter { now - $0.at < length }
            #expect((sure.count...possible.count).contains(window.counts.calls), "seed \(seed)")
            let (least, most) = (sure.count(where: \.hasFailed), possible.count(where: \.hasFailed))
            #expect((least...most).contains(window.counts.hits), "seed \(seed)")
        }
    }

    @Test("clock readings that jump or go back cause no trap, and a jump drops old calls")
    func clockJumps() {
        var window = CallWindow(length: .max)
        var times = FailureTimes()
        for now in [0, Int64.max, .min, -1, 1, .min, .max, .max, 0] {
            window.record(isHit: true, now: now)
            _ = times.record(now, keeping: 3, within: .max)
        }
        var small = CallWindow(length: 10)
        small.record(isHit: true, now: 1_000_000)
        small.record(isHit: true, now: 0)
        #expect(small.counts.calls == 1)
        #expect(firstTrip(.failures(2, within: .seconds(1)), [(at(100), .failure), (at(0), .failure)]) == nil)
    }
}

import ReliabilityTesting
import Testing

@testable import Retry

private let second: Int64 = 1_000_000_000
private let millisecond: Int64 = 1_000_000

@Suite("LatencyWindow")
struct LatencyWindowTests {
    private func window(_ quantile: Double = 0.95, minCalls: Int = 1, over length: Duration = .seconds(60))
        -> LatencyWindow
    {
        let delay = HedgeDelay.quantile(
            quantile,
            initial: .seconds(1),
            minCalls: minCalls,
            over: length
        )
        guard case .quantile(let rule) = delay.kind else { preconditionFailure("not a quantile") }
        return LatencyWindow(rule)
    }

    @Test("the delay is at least the exact quantile and at most an eighth longer", arguments: 0..<40 as Range<UInt64>)
    func accuracy(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let quantile = [0.5, 0.9, 0.95, 0.99, 0.001].randomElement(using: &generator) ?? 0.5
        var window = window(quantile)
        var latencies: [Int64] = []
        let scale = Int64.random(in: 10...40, using: &generator)
        for _ in 0..<Int.random(in: 1...500, using: &generator) {
            let latency = max(8192, Int64.random(in: 0...(1 << scale), using: &generator))
            latencies.append(latency)
            window.record(latency, now: 0)
        }
        latencies.sort()
        let rank = Int((Double(latencies.count) * quantile).rounded(.up))
        let exact = latencies[max(1, rank) - 1]
        let delay = window.delay(now: 0)
        #expect(delay >= exact, "seed \(seed)")
        #expect(delay <= exact + exact / 8 + 1, "seed \(seed)")
    }

    @Test("extreme latencies count as the shortest or the longest measurable latency")
    func extremes() {
        for latency in [Int64.min, -1, 0, 1, 8191] {
            var window = window()
            window.record(latency, now: 0)
            #expect(window.delay(now: 0) <= 10_000)
        }
        for latency in [Int64.max, 1 << 43, 9000 * second] {
            var window = window()
            window.record(latency, now: 0)
            #expect(window.delay(now: 0) == 1 << 43)
        }
    }

    @Test("the delay is the initial delay until the minimum number of calls")
    func minCalls() {
        var window = window(minCalls: 20)
        for _ in 0..<19 { window.record(millisecond, now: 0) }
        #expect(window.delay(now: 0) == second)
        window.record(millisecond, now: 0)
        #expect(window.delay(now: 0) < 2 * millisecond)
    }

    @Test("calls in the last nine tenths of the window count, and calls older than the window do not")
    func expiry() {
        for offset in [0, 1, second, 6 * second - 1, 35 * second] {
            var window = window(minCalls: 1)
            window.record(millisecond, now: offset)
            #expect(window.delay(now: offset + 54 * second) < 2 * millisecond)
            #expect(window.peekDelay(now: offset + 60 * second) == second)
            #expect(window.delay(now: offset + 60 * second) == second)
        }
    }

    @Test(
        "a random sequence gives the same delay as the latencies inside the window",
        arguments: 0..<20 as Range<UInt64>
    )
    func model(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var window = window(0.9, over: .seconds(10))
        var all: [(latency: Int64, at: Int64)] = []
        var now: Int64 = -5 * second
        for _ in 0..<300 {
            now += Int64.random(in: 0...second, using: &generator)
            if Int.random(in: 0..<60, using: &generator) == 0 { now += 30 * second }
            let latency = Int64.random(in: millisecond...second, using: &generator)
            window.record(latency, now: now)
            all.append((latency, now))
            // The window has whole slices of a second: the present slice and the nine slices before.
            let present = Int64((Double(now) / Double(second)).rounded(.down))
            var fresh = self.window(0.9, over: .seconds(10))
            for entry in all where Int64((Double(entry.at) / Double(second)).rounded(.down)) > present - 10 {
                fresh.record(entry.latency, now: now)
            }
            #expect(window.delay(now: now) == fresh.delay(now: now), "seed \(seed)")
        }
    }

    @Test("a clock that stands still, jumps ahead or steps back does not change the delay")
    func clocks() {
        var window = window()
        for now in [0, 0, Int64.max, .min, 0, .max, .max - 1, -1, .min + 1, 5, 4, 3] {
            window.record(millisecond, now: now)
            #expect(window.delay(now: now) < 2 * millisecond)
            #expect(window.peekDelay(now: .max) > 0 && window.peekDelay(now: .min) > 0)
        }
    }

    @Test("a failure before the delay does not count, and a failure after the delay counts")
    func failures() {
        var window = window(0.5)
        for _ in 0..<10 { window.record(100 * millisecond, now: 0) }
        let before = window.delay(now: 0)
        for _ in 0..<1000 { window.recordFailure(millisecond, now: 0) }
        #expect(window.delay(now: 0) == before)
        for _ in 0..<1000 { window.recordFailure(second, now: 0) }
        #expect(window.delay(now: 0) >= second)
    }

    @Test("hedging with the measured delay does not increase the share of hedged calls")
    func noSurvivorBias() {
        /// The final share of hedged calls, for calls of 1 to 100 ms and hedges of 1 ms.
        func hedged(whenCutShort record: (inout LatencyWindow, _ ran: Int64, _ now: Int64) -> Void) -> Double {
            var generator = SeededGenerator(seed: 29)
            var window = window(0.8, minCalls: 100, over: .seconds(1))
            var hedges = 0
            for call in 0..<10_000 as Range<Int64> {
                let now = call * millisecond
                let latency = Int64.random(in: millisecond...100 * millisecond, using: &generator)
                let hedgeEnds = window.delay(now: now) + millisecond
                if latency > hedgeEnds {
                    record(&window, hedgeEnds, now)
                    if call >= 5000 { hedges += 1 }
                } else {
                    window.record(latency, now: now)
                }
            }
            return Double(hedges) / 5000
        }
        let share = hedged { window, ran, now in window.record(ran, now: now) }
        #expect(share <= 0.2)
        // The share without the rule.
        let biased = hedged { _, _, _ in }
        #expect(biased > 0.4)
    }
}

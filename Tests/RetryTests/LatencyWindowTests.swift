import ReliabilityTesting
import Testing

@testable import Retry

private let second: Int64 = 1_000_000_000
private let millisecond: Int64 = 1_000_000

@Suite("LatencyWindow")
struct LatencyWindowTests {
    private func window(_ quantile: Double = 0.95, minimumCalls: Int = 1, over length: Duration = .seconds(60))
        -> LatencyWindow
    {
        let delay = HedgeDelay.quantile(
            quantile,
            initial: .seconds(1),
            minimumCalls: minimumCalls,
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

    @Test("latencies beyond all measure count as the shortest or the longest there is")
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

    @Test("before the minimum of calls the delay is the initial one")
    func minimumCalls() {
        var window = window(minimumCalls: 20)
        for _ in 0..<19 { window.record(millisecond, now: 0) }
        #expect(window.delay(now: 0) == second)
        window.record(millisecond, now: 0)
        #expect(window.delay(now: 0) < 2 * millisecond)
    }

    @Test("INV-18: nothing older than the window counts, and what is younger than nine tenths of it does")
    func expiry() {
        for offset in [0, 1, second, 6 * second - 1, 35 * second] {
            var window = window(minimumCalls: 1)
            window.record(millisecond, now: offset)
            #expect(window.delay(now: offset + 54 * second) < 2 * millisecond)
            #expect(window.peekDelay(now: offset + 60 * second) == second)
            #expect(window.delay(now: offset + 60 * second) == second)
        }
    }

    @Test(
        "INV-18: a random course gives the same delay as the latencies of the window alone",
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
            // Slices of a second that are whole: those that have not begun ten before the present one.
            let present = Int64((Double(now) / Double(second)).rounded(.down))
            var fresh = self.window(0.9, over: .seconds(10))
            for entry in all where Int64((Double(entry.at) / Double(second)).rounded(.down)) > present - 10 {
                fresh.record(entry.latency, now: now)
            }
            #expect(window.delay(now: now) == fresh.delay(now: now), "seed \(seed)")
        }
    }

    @Test("INV-17: a clock that stands still, jumps by centuries or steps back breaks nothing")
    func clocks() {
        var window = window()
        for now in [0, 0, Int64.max, .min, 0, .max, .max - 1, -1, .min + 1, 5, 4, 3] {
            window.record(millisecond, now: now)
            #expect(window.delay(now: now) < 2 * millisecond)
            #expect(window.peekDelay(now: .max) > 0 && window.peekDelay(now: .min) > 0)
        }
    }

    @Test("INV-29: a failure that comes before the delay says nothing, and one that comes after it counts")
    func failures() {
        var window = window(0.5)
        for _ in 0..<10 { window.record(100 * millisecond, now: 0) }
        let before = window.delay(now: 0)
        for _ in 0..<1000 { window.recordFailure(millisecond, now: 0) }
        #expect(window.delay(now: 0) == before)
        for _ in 0..<1000 { window.recordFailure(second, now: 0) }
        #expect(window.delay(now: 0) >= second)
    }

    @Test("INV-29: hedging with the delay that it measures neither shortens it nor makes itself more frequent")
    func noSurvivorBias() {
        /// Calls that take 1 to 100 ms and whose hedges take 1 ms; the share that is hedged in the end.
        func hedged(whenCutShort record: (inout LatencyWindow, _ ran: Int64, _ now: Int64) -> Void) -> Double {
            var generator = SeededGenerator(seed: 29)
            var window = window(0.8, minimumCalls: 100, over: .seconds(1))
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
        // And this is what the rule prevents.
        let biased = hedged { _, _, _ in }
        #expect(biased > 0.4)
    }
}

internal import ReliabilityCore

/// The latencies of recent first attempts, for a quantile.
///
/// The window has 10 slices. Each slice is a histogram with eight steps for each doubling. A latency below 8 µs counts
/// as 8 µs. A latency above 2.4 hours counts as 2.4 hours. The cost of a record does not depend on the content of the
/// window.
struct LatencyWindow: Hashable {
    private static let lowestBits = 13
    private static let highestBits = 43
    private static let steps = 8
    private static let bucketCount = (highestBits - lowestBits) * steps

    private let rule: HedgeDelay.Quantile
    private var slices: SlidingWindow
    private var counts: [UInt32]
    private var totals: [UInt32]
    private var total = 0

    init(_ rule: HedgeDelay.Quantile) {
        self.rule = rule
        slices = SlidingWindow(length: rule.window.saturatingNanoseconds, count: 10)
        counts = Array(repeating: 0, count: slices.count * Self.bucketCount)
        totals = Array(repeating: 0, count: Self.bucketCount)
    }

    /// Returns the present delay and advances the window.
    mutating func delay(now: Int64) -> Int64 {
        slide(to: now)
        return delay
    }

    /// Returns the present delay without an effect on the window.
    func peekDelay(now: Int64) -> Int64 {
        var copy = self
        return copy.delay(now: now)
    }

    private var delay: Int64 {
        if total < rule.minCalls { return rule.initialNanoseconds }
        // From 1 to `total`, because the quantile is above 0 and below 1.
        let rank = min(total, Int((Double(total) * rule.quantile).rounded(.up)))
        var seen = 0
        for bucket in 0..<Self.bucketCount {
            seen += Int(totals[bucket])
            if seen >= rank { return Self.upperBound(of: bucket) }
        }
        return rule.initialNanoseconds
    }

    /// Records an attempt that succeeded after this time, or would have taken at least this time.
    mutating func record(_ latency: Int64, now: Int64) {
        slide(to: now)
        let bucket = Self.bucket(of: latency)
        let position = slices.position * Self.bucketCount + bucket
        // The counts saturate. Of four billion calls in a slice, another call does not change the quantile.
        guard counts[position] < .max, totals[bucket] < .max else { return }
        counts[position] += 1
        totals[bucket] += 1
        total += 1
    }

    /// Records a failed attempt if the failure came later than the delay.
    mutating func recordFailure(_ latency: Int64, now: Int64) {
        if latency >= delay(now: now) { record(latency, now: now) }
    }

    private mutating func slide(to now: Int64) {
        let steps = slices.slide(to: now)
        if steps == 0 { return }
        if steps == slices.count {
            self = LatencyWindow(rule, at: slices)
            return
        }
        for slice in slices.newest - Int64(steps) + 1...slices.newest {
            let first = slices.position(of: slice) * Self.bucketCount
            for bucket in 0..<Self.bucketCount where counts[first + bucket] > 0 {
                totals[bucket] -= counts[first + bucket]
                total -= Int(counts[first + bucket])
                counts[first + bucket] = 0
            }
        }
    }

    private init(_ rule: HedgeDelay.Quantile, at slices: SlidingWindow) {
        self.init(rule)
        self.slices = slices
    }

    private static func bucket(of latency: Int64) -> Int {
        let latency = min(max(latency, 1 << lowestBits), (1 << highestBits) - 1)
        let bits = 63 - latency.leadingZeroBitCount
        // The three bits below the highest.
        let step = Int(latency >> (bits - 3)) & (steps - 1)
        return (bits - lowestBits) * steps + step
    }

    private static func upperBound(of bucket: Int) -> Int64 {
        let (octave, step) = bucket.quotientAndRemainder(dividingBy: steps)
        return Int64(steps + step + 1) << (octave + lowestBits - 3)
    }
}

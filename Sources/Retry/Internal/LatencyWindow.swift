internal import ReliabilityCore

/// How long recent first attempts took, for a quantile of them.
///
/// A histogram with eight steps to each doubling, of 10 slices of the window. A latency below 8 µs counts as 8 µs and one
/// above 2.4 hours as that. Taking note of one costs the same whatever the window holds.
struct LatencyWindow: Hashable {
    private static let lowestBits = 13
    private static let highestBits = 43
    private static let steps = 8
    private static let bucketCount = (highestBits - lowestBits) * steps

    private let rule: HedgeDelay.Quantile
    private var slices: WindowSlices
    private var counts: [UInt32]
    private var totals: [UInt32]
    private var total = 0

    init(_ rule: HedgeDelay.Quantile) {
        self.rule = rule
        slices = WindowSlices(length: rule.window, count: 10)
        counts = Array(repeating: 0, count: slices.count * Self.bucketCount)
        totals = Array(repeating: 0, count: Self.bucketCount)
    }

    /// How late an answer must be now.
    mutating func delay(now: Int64) -> Int64 {
        slide(to: now)
        return delay
    }

    /// The same, without any effect.
    func peekDelay(now: Int64) -> Int64 {
        var copy = self
        return copy.delay(now: now)
    }

    private var delay: Int64 {
        if total < rule.minimumCalls { return rule.initial }
        // At least one, and at most all: a product of a share below one.
        let rank = min(total, Int((Double(total) * rule.quantile).rounded(.up)))
        var seen = 0
        for bucket in 0..<Self.bucketCount {
            seen += Int(totals[bucket])
            if seen >= rank { return Self.upperBound(of: bucket) }
        }
        return rule.initial
    }

    /// Takes note of an attempt that succeeded, or that would have taken at least as long.
    mutating func record(_ latency: Int64, now: Int64) {
        slide(to: now)
        let bucket = Self.bucket(of: latency)
        let position = slices.position * Self.bucketCount + bucket
        // A full count stays full: with four billion calls in a slice, one more tells nothing.
        guard counts[position] < .max, totals[bucket] < .max else { return }
        counts[position] += 1
        totals[bucket] += 1
        total += 1
    }

    /// Takes note of an attempt that failed of itself: it says something only if it came later than the delay.
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

    private init(_ rule: HedgeDelay.Quantile, at slices: WindowSlices) {
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

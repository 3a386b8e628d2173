import Foundation

/// A workload: a sequence of keys and the sizes of the caches.
struct Trace {
    let name: String
    let entries: [Int]
    let keys: [Int32]

    static func all() -> [Trace] {
        var random = Numbers(state: 20_261_130)
        let count = 1_000_000
        var traces = [0.9, 0.99, 1.2].map { exponent in
            let zipf = Zipf(exponent: exponent, keys: 100_000)
            let keys = (0..<count).map { _ in zipf.key(random.unit()) }
            return Trace(name: "Zipf \(exponent) of 100,000 keys", entries: [1000, 10_000], keys: keys)
        }
        let zipf = Zipf(exponent: 0.99, keys: 20_000)
        var mixed: [Int32] = []
        for scan in 0..<4 {
            mixed += (0..<200_000).map { _ in zipf.key(random.unit()) }
            let first = 1_000_000 + scan * 20_000
            mixed += (first..<first + 20_000).map { Int32($0) }
        }
        traces.append(Trace(name: "Zipf 0.99 of 20,000 keys and 4 scans of 20,000", entries: [2000], keys: mixed))
        // Every key is used twice, the second time after 300 other keys.
        let recency = (0..<300_000).map { (time: Int) -> Int32 in
            let key = time / 2
            return time.isMultiple(of: 2) ? Int32(key) : Int32(max(0, key - 300))
        }
        traces.append(Trace(name: "each key again after 600 requests", entries: [1024], keys: recency))
        // A tenth of the keys gets most requests, and another tenth in each of ten phases.
        let hot = (0..<count).map { (time: Int) -> Int32 in
            let phase = time / (count / 10)
            if random.unit() < 0.9 { return Int32(phase * 2000) + Int32(random.unit() * 2000) }
            return Int32(random.unit() * 20_000)
        }
        traces.append(Trace(name: "2,000 hot keys of 20,000 that change ten times", entries: [2000, 4000], keys: hot))
        let loop = (0..<200_000).map { Int32($0 % 1100) }
        traces.append(Trace(name: "loop of 1,100 keys", entries: [1000], keys: loop))
        return traces
    }
}

/// Seeded random numbers (SplitMix64).
struct Numbers {
    var state: UInt64

    /// Returns a number in 0..<1.
    mutating func unit() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return Double((bits ^ (bits >> 31)) >> 11) * 0x1p-53
    }
}

/// Keys whose frequency is a power of their rank.
struct Zipf {
    /// The probability of a key of at most each rank.
    private let sums: [Double]

    init(exponent: Double, keys: Int) {
        var sum = 0.0
        let sums = (1...keys).map { rank in
            sum += 1 / pow(Double(rank), exponent)
            return sum
        }
        self.sums = sums.map { $0 / sum }
    }

    /// Returns the key for a random number in 0..<1.
    func key(_ unit: Double) -> Int32 {
        var (low, high) = (0, sums.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if sums[middle] > unit { high = middle } else { low = middle + 1 }
        }
        return Int32(low)
    }
}

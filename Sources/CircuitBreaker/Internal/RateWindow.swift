internal import ReliabilityCore

/// The calls that a rate counts, and those among them that meet its condition.
struct RateWindow: Hashable {
    /// Numbers of calls.
    struct Counts: Hashable {
        var calls = 0
        /// The calls that meet the condition of the rate.
        var hits = 0

        /// Returns the counts with further calls that all meet the condition.
        func adding(_ count: Int) -> Counts { Counts(calls: calls + count, hits: hits + count) }

        /// Returns whether the counts reach the share and the minimum of a rule.
        func meet(_ rule: TripCondition.Rate) -> Bool {
            // The quotient is rounded once, as the literal on the right is: 7 of 100 equals 0.07 exactly.
            calls >= rule.minCalls && Double(hits) / Double(calls) >= rule.share
        }
    }

    private var timed: CallWindow?
    private var last: LastCalls?

    init(_ window: TripCondition.Window) {
        switch window {
        case .time(let length): timed = CallWindow(length: length.saturatingNanoseconds)
        case .calls(let count): last = LastCalls(capacity: count)
        }
    }

    var counts: Counts { timed?.counts ?? last?.counts ?? Counts() }

    mutating func record(isHit: Bool, now: Int64) {
        timed?.record(isHit: isHit, now: now)
        last?.record(isHit: isHit)
    }

    /// Discards the calls that are too old at a time.
    mutating func slide(to now: Int64) { timed?.slide(to: now) }
}

/// The calls in a sliding window of ten slices.
struct CallWindow: Hashable {
    private var slidingWindow: SlidingWindow
    private var slices: [RateWindow.Counts] = []
    private(set) var counts = RateWindow.Counts()

    init(length: Int64) { slidingWindow = SlidingWindow(length: length, count: 10) }

    mutating func record(isHit: Bool, now: Int64) {
        slide(to: now)
        let position = slidingWindow.position
        slices[position].calls += 1
        counts.calls += 1
        if isHit {
            slices[position].hits += 1
            counts.hits += 1
        }
    }

    mutating func slide(to now: Int64) {
        let steps = slidingWindow.slide(to: now)
        if steps == 0 { return }
        if steps == slidingWindow.count {
            slices = Array(repeating: RateWindow.Counts(), count: slidingWindow.count)
            counts = RateWindow.Counts()
            return
        }
        for slice in slidingWindow.newest - Int64(steps) + 1...slidingWindow.newest {
            let position = slidingWindow.position(of: slice)
            counts.calls -= slices[position].calls
            counts.hits -= slices[position].hits
            slices[position] = RateWindow.Counts()
        }
    }
}

/// The last calls in a ring with a bit for each call.
struct LastCalls: Hashable {
    private let capacity: Int
    private var words: [UInt64] = []
    /// The place of the next call.
    private var next = 0
    private(set) var counts = RateWindow.Counts()

    init(capacity: Int) { self.capacity = capacity }

    mutating func record(isHit: Bool) {
        if words.isEmpty { words = Array(repeating: 0, count: (capacity + 63) / 64) }
        let (word, bit) = (next / 64, UInt64(1) << UInt64(next % 64))
        if counts.calls < capacity {
            counts.calls += 1
        } else if words[word] & bit != 0 {
            counts.hits -= 1
        }
        if isHit {
            words[word] |= bit
            counts.hits += 1
        } else {
            words[word] &= ~bit
        }
        next = next + 1 == capacity ? 0 : next + 1
    }
}

internal import ReliabilityCore

/// The rule of a rate with the calls that it counts, and those among them that meet its condition.
struct RateWindow: Hashable {
    /// Numbers of calls.
    struct Counts: Hashable {
        var calls = 0
        /// The calls that meet the condition of the rate.
        var hits = 0
    }

    private enum Kind { case off, timed, last }

    private let kind: Kind
    private let share: Double
    private let minCalls: Int
    private var timed: CallWindow
    private var last: LastCalls

    /// Creates the window of a rule, or an unused window if there is no rule.
    init(_ rule: TripCondition.Rate?) {
        share = rule?.share ?? 1
        minCalls = rule?.minCalls ?? 1
        var (length, capacity) = (Int64(0), 0)
        switch rule?.window {
        case .time(let window):
            kind = .timed
            length = window.saturatingNanoseconds
        case .calls(let count):
            kind = .last
            capacity = count
        case nil: kind = .off
        }
        timed = CallWindow(length: length)
        last = LastCalls(capacity: capacity)
    }

    var isOn: Bool { kind != .off }
    var counts: Counts { kind == .last ? last.counts : timed.counts }

    /// Returns whether the calls of the window and further calls that all meet the condition reach the rate.
    func isMet(adding count: Int = 0) -> Bool {
        let (calls, hits) = (counts.calls + count, counts.hits + count)
        // The quotient is rounded once, as the literal on the right is: 7 of 100 equals 0.07 exactly.
        return calls >= minCalls && Double(hits) / Double(calls) >= share
    }

    mutating func record(isHit: Bool, now: Int64) {
        if kind == .last { last.record(isHit: isHit) } else { timed.record(isHit: isHit, now: now) }
    }

    /// Discards the calls that are too old at a time.
    mutating func slide(to now: Int64) { if kind == .timed { timed.slide(to: now) } }

    /// Takes over the calls of a rule with the same window.
    mutating func keepCalls(of other: RateWindow) { (timed, last) = (other.timed, other.last) }
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

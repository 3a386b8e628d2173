internal import ReliabilityCore

/// What a closed breaker remembers of its calls: as much as its rule needs.
struct CallHistory: Hashable {
    private var consecutiveFailures = 0
    private var failures = FailureTimes()
    private var window: CallWindow

    init(_ rule: BreakerTrip.Rule) {
        if case .failureRate(_, _, let length) = rule {
            window = CallWindow(length: length)
        } else {
            window = CallWindow(length: 0)
        }
    }

    /// Whether a successful call would change nothing.
    func isSuccessOfNoConsequence(_ rule: BreakerTrip.Rule) -> Bool {
        switch rule {
        case .consecutiveFailures: consecutiveFailures == 0
        case .failures: true
        case .failureRate: false
        }
    }

    /// Fits what is remembered to another rule: kept where that counts the same calls, else begun anew.
    mutating func change(from old: BreakerTrip.Rule, to new: BreakerTrip.Rule) {
        switch (old, new) {
        case (.consecutiveFailures, .consecutiveFailures): break
        case (.failures(_, let before), .failures(let limit, let after)) where before == after:
            failures.keepLast(limit)
        case (.failureRate(_, _, let before), .failureRate(_, _, let after)) where before == after: break
        default: self = CallHistory(new)
        }
    }

    /// Takes note of how a call ended.
    ///
    /// - Parameters:
    ///   - outcome: How it ended.
    ///   - rule: The breaker's rule: the one that this was made with or changed to.
    ///   - now: The time.
    /// - Returns: Whether the breaker is to open. A success or an ignored call never opens it.
    mutating func record(_ outcome: Outcome, _ rule: BreakerTrip.Rule, now: Int64) -> Bool {
        if outcome == .ignored { return false }
        let hasFailed = outcome == .failure
        switch rule {
        case .consecutiveFailures(let limit):
            consecutiveFailures = hasFailed ? consecutiveFailures + 1 : 0
            return consecutiveFailures >= limit
        case .failures(let limit, let length):
            return hasFailed && failures.record(now, keeping: limit, within: length)
        case .failureRate(let rate, let minimumCalls, _):
            window.record(hasFailed: hasFailed, now: now)
            guard hasFailed, window.calls >= minimumCalls else { return false }
            // A division is rounded once, like the literal it is compared with: 7 of 100 is 0.07, not a little less.
            return Double(window.failures) / Double(window.calls) >= rate
        }
    }
}

/// The moments of the last failures, in a ring.
struct FailureTimes: Hashable {
    private var times: [Int64] = []
    private var oldest = 0

    /// Adds a failure.
    ///
    /// - Parameters:
    ///   - now: When it happened.
    ///   - limit: How many to keep; the same as before, or as in ``keepLast(_:)``.
    ///   - length: The window.
    /// - Returns: Whether there are as many as the limit and the oldest of them lies within the window.
    mutating func record(_ now: Int64, keeping limit: Int, within length: Int64) -> Bool {
        if times.count < limit {
            times.append(now)
        } else {
            times[oldest] = now
            oldest = (oldest + 1) % limit
        }
        guard times.count == limit else { return false }
        // The magnitude, because a moment that a corrected clock left in the future is not recent for ever.
        return now.saturatingSubtract(times[oldest]).magnitude < length.magnitude
    }

    /// Forgets all but the newest, from here on of at most `limit`.
    mutating func keepLast(_ limit: Int) {
        times = Array((times[oldest...] + times[..<oldest]).suffix(limit))
        oldest = 0
    }
}

/// Counts of calls and failures in a window that slides in tenths of its length.
///
/// A call costs the same whatever the window holds; a jump of years clears ten counts.
struct CallWindow: Hashable {
    private struct Slice: Hashable {
        var calls = 0
        var failures = 0
    }

    private let width: Int64
    private let sliceCount: Int
    private var slices: [Slice] = []
    private var newest: Int64 = 0
    private(set) var calls = 0
    private(set) var failures = 0

    init(length: Int64) {
        sliceCount = Int(min(10, max(1, length)))
        width = max(1, length / Int64(sliceCount))
    }

    /// Counts a call.
    mutating func record(hasFailed: Bool, now: Int64) {
        slide(to: now)
        let position = position(of: newest)
        slices[position].calls += 1
        calls += 1
        if hasFailed {
            slices[position].failures += 1
            failures += 1
        }
    }

    private mutating func slide(to now: Int64) {
        // Rounded down, for readings below zero too.
        let current = now >= 0 ? now / width : -1 - (-1 - now) / width
        if slices.isEmpty {
            slices = Array(repeating: Slice(), count: sliceCount)
            newest = current
        }
        let steps = current.saturatingSubtract(newest)
        // A reading a little older than the newest is that of a slower caller, and counts as new.
        if steps <= 0, steps > -Int64(sliceCount) { return }
        if steps.magnitude >= UInt64(sliceCount) {
            slices = Array(repeating: Slice(), count: sliceCount)
            (calls, failures) = (0, 0)
        } else {
            for slice in newest + 1...current {
                let position = position(of: slice)
                calls -= slices[position].calls
                failures -= slices[position].failures
                slices[position] = Slice()
            }
        }
        newest = current
    }

    private func position(of slice: Int64) -> Int {
        let remainder = Int(slice % Int64(sliceCount))
        return remainder < 0 ? remainder + sliceCount : remainder
    }
}

internal import ReliabilityCore

/// What a closed breaker remembers of its calls: as much as its rules need.
struct CallHistory: Hashable {
    private var consecutiveFailures = 0
    /// When the first of these happened.
    private var rowBegan: Int64 = 0
    private var failures = FailureTimes()
    private var window: CallWindow

    init(_ trip: BreakerTrip) { window = CallWindow(trip.rate) }

    /// Whether a successful call would change nothing.
    func isSuccessOfNoConsequence(_ trip: BreakerTrip) -> Bool {
        trip.rate == nil && (trip.row == nil || consecutiveFailures == 0)
    }

    /// Fits what is remembered to other rules: kept where these count the same calls, else begun anew.
    mutating func change(from old: BreakerTrip, to new: BreakerTrip) {
        if old.row == nil || new.row == nil { consecutiveFailures = 0 }
        if let limit = new.failures?.count, old.failures?.window == new.failures?.window {
            failures.keepLast(limit)
        } else {
            failures = FailureTimes()
        }
        if old.rate?.window != new.rate?.window { window = CallWindow(new.rate) }
    }

    /// Takes note of how a call ended.
    ///
    /// - Parameters:
    ///   - outcome: How it ended.
    ///   - trip: The breaker's rules: those that this was made with or changed to.
    ///   - now: The time.
    /// - Returns: Whether the breaker is to open. A success or an ignored call never opens it.
    mutating func record(_ outcome: Outcome, _ trip: BreakerTrip, now: Int64) -> Bool {
        if outcome == .ignored { return false }
        let hasFailed = outcome == .failure
        var opens = false
        if let row = trip.row {
            if consecutiveFailures == 0 { rowBegan = now }
            consecutiveFailures = hasFailed ? min(consecutiveFailures, .max - 1) + 1 : 0
            let hasLasted = now.saturatingSubtract(rowBegan) >= row.time.saturatingNanoseconds
            opens = hasFailed && consecutiveFailures >= row.count && hasLasted
        }
        if hasFailed, let rule = trip.failures {
            let isFull = failures.record(now, keeping: rule.count, within: rule.window.saturatingNanoseconds)
            opens = opens || isFull
        }
        if let rule = trip.rate {
            window.record(hasFailed: hasFailed, now: now)
            if hasFailed, window.calls >= rule.minimumCalls {
                // A division is rounded once, like the literal it is compared with: 7 of 100 is 0.07, not a little less.
                opens = opens || Double(window.failures) / Double(window.calls) >= rule.share
            }
        }
        return opens
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

    /// The window of a rule; without one, nothing is recorded in it.
    fileprivate init(_ rule: BreakerTrip.Rate?) { self.init(length: rule?.window.saturatingNanoseconds ?? 0) }

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

internal import ReliabilityCore

/// The calls and extra attempts of a sliding window.
///
/// The window has 20 slices. An extra attempt counts for 19 to 20 slices. A call counts for 18 to 19 slices. At every
/// decision, the extra attempts of the last 19 slices are within the bound that the calls of those slices allow. Older
/// calls and extra attempts do not count. Extra attempts may follow a burst of calls that has just ended.
struct BudgetWindow: Hashable {
    private var slices: SlidingWindow
    private var callCounts: [Int]
    private var extraCounts: [Int]
    /// The number of calls in all slices except the oldest.
    private(set) var calls = 0
    /// The number of extra attempts that began in the window.
    private(set) var extras = 0
    /// The number of reserved extra attempts that have not begun, of any age.
    private(set) var pending = 0

    init(length: Int64) {
        slices = SlidingWindow(length: length, count: 20)
        callCounts = Array(repeating: 0, count: slices.count)
        extraCounts = callCounts
    }

    /// Records a call.
    mutating func recordCall(now: Int64) {
        slide(to: now)
        callCounts[slices.position] += 1
        calls += 1
    }

    /// Reserves an extra attempt, or returns `false` if the configuration allows no further extra attempt.
    mutating func reserve(_ configuration: RetryBudget.Configuration.Window, now: Int64) -> Bool {
        slide(to: now)
        guard available(configuration) >= 1 else { return false }
        pending += 1
        return true
    }

    /// Settles a reservation.
    ///
    /// - Parameters:
    ///   - isUsed: `true` if the reserved attempt begins. An unused reservation is released.
    ///   - now: The reading of the clock.
    mutating func settle(isUsed: Bool, now: Int64) {
        slide(to: now)
        pending -= 1
        guard isUsed else { return }
        extraCounts[slices.position] += 1
        extras += 1
    }

    /// The number of extra attempts that can be reserved now.
    func available(_ configuration: RetryBudget.Configuration.Window, now: Int64) -> Int {
        var copy = self
        copy.slide(to: now)
        return max(0, copy.available(configuration))
    }

    private func available(_ configuration: RetryBudget.Configuration.Window) -> Int {
        let earned = Int64(configuration.thousandths).saturatingMultiply(Int64(calls))
        return Int(earned.saturatingAdd(Int64(configuration.floor)) / 1000) - extras - pending
    }

    /// Returns a window of another length with the counts that lie in that window.
    ///
    /// The calls and attempts of a slice count from the beginning of the slice. Nothing counts for longer than the new
    /// window.
    func resized(to length: Int64, now: Int64) -> BudgetWindow {
        var old = self
        old.slide(to: now)
        var new = BudgetWindow(length: length)
        new.pending = pending
        for slice in old.slices.newest - Int64(old.slices.count) + 1...old.slices.newest {
            let start = slice.saturatingMultiply(old.slices.width)
            let position = old.slices.position(of: slice)
            new.slide(to: start)
            new.callCounts[new.slices.position] += old.callCounts[position]
            new.calls += old.callCounts[position]
            new.extraCounts[new.slices.position] += old.extraCounts[position]
            new.extras += old.extraCounts[position]
        }
        new.slide(to: now)
        return new
    }

    private mutating func slide(to now: Int64) {
        let steps = slices.slide(to: now)
        if steps == 0 { return }
        if steps == slices.count {
            callCounts = Array(repeating: 0, count: slices.count)
            extraCounts = callCounts
            (calls, extras) = (0, 0)
            return
        }
        for slice in slices.newest - Int64(steps) + 1...slices.newest {
            let position = slices.position(of: slice)
            extras -= extraCounts[position]
            extraCounts[position] = 0
            callCounts[position] = 0
            // The oldest remaining slice: its extra attempts still count and its calls no longer count.
            calls -= callCounts[slices.position(of: slice + 1)]
        }
    }
}

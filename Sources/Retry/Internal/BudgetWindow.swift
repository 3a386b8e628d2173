internal import ReliabilityCore

/// Counts calls and extra attempts of a sliding window.
///
/// A slice of the window is a twentieth of it. An extra attempt counts for 19 to 20 slices and a call for 18 to 19: so
/// whenever one is decided on, the 19 slices up to then hold no more of them than their calls allow, and nothing older
/// than the window counts for anything. It looks back: extra attempts may follow a burst of calls that has just ended.
struct BudgetWindow: Hashable {
    private var slices: WindowSlices
    private var callCounts: [Int]
    private var extraCounts: [Int]
    /// The calls of all slices but the oldest.
    private(set) var calls = 0
    /// The extra attempts that began in the window.
    private(set) var extras = 0
    /// The extra attempts that are reserved and have not begun, since whenever.
    private(set) var pending = 0

    init(length: Int64) {
        slices = WindowSlices(length: length, count: 20)
        callCounts = Array(repeating: 0, count: slices.count)
        extraCounts = callCounts
    }

    /// Counts a call.
    mutating func noteCall(now: Int64) {
        slide(to: now)
        callCounts[slices.position] += 1
        calls += 1
    }

    /// Reserves an extra attempt, if there are fewer than the configuration allows.
    mutating func reserve(_ configuration: RetryBudgetConfiguration.Window, now: Int64) -> Bool {
        slide(to: now)
        guard available(configuration) >= 1 else { return false }
        pending += 1
        return true
    }

    /// A reserved attempt begins, or never will.
    mutating func settle(isUsed: Bool, now: Int64) {
        slide(to: now)
        pending -= 1
        guard isUsed else { return }
        extraCounts[slices.position] += 1
        extras += 1
    }

    /// How many extra attempts may be reserved at a time.
    func available(_ configuration: RetryBudgetConfiguration.Window, now: Int64) -> Int {
        var copy = self
        copy.slide(to: now)
        return max(0, copy.available(configuration))
    }

    private func available(_ configuration: RetryBudgetConfiguration.Window) -> Int {
        let earned = Int64(configuration.ratio).saturatingMultiply(Int64(calls))
        return Int(earned.saturatingAdd(Int64(configuration.floor)) / 1000) - extras - pending
    }

    /// The same counts in a window of another length, as far as they lie in it.
    ///
    /// A slice counts as what happened at its beginning, so that nothing counts for longer than the new window.
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
            // The oldest slice that is left: its extra attempts still count, its calls no longer do.
            calls -= callCounts[slices.position(of: slice + 1)]
        }
    }
}

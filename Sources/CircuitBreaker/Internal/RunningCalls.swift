internal import ReliabilityCore

/// The running calls of a closed breaker, counted by the time of their start.
///
/// The starts are counted in slices of a tenth of the threshold, so that a call costs the same for any number of
/// running calls. A slice whose calls have all passed the threshold joins the slow calls.
struct RunningCalls: Hashable {
    /// The number of slices whose calls may not have passed the threshold.
    static let sliceCount = 11

    /// A Boolean value that indicates whether a rule counts slow calls.
    let isOn: Bool
    /// The length of a slice in nanoseconds.
    private let width: Int64
    private let threshold: Int64
    /// The number of calls that started in each of the last slices.
    private var starts: [Int32] = []
    /// The number of the present slice, counted from the reading zero.
    private var newest: Int64 = 0
    /// The latest reading.
    ///
    /// An older reading comes from a slower caller and counts as this reading.
    private(set) var latest = Int64.min
    /// The reading from which calls are counted.
    private var first = Int64.min
    /// The number of running calls that have passed the threshold.
    private(set) var slow = 0

    /// Creates an empty count.
    ///
    /// - Parameters:
    ///   - threshold: The duration in nanoseconds above which a call is slow, or `nil` if no rule counts slow calls.
    ///   - end: The time up to which calls that have begun are not counted, or `nil` to count every call.
    init(threshold: Int64?, after end: Int64? = nil) {
        isOn = threshold != nil
        let threshold = threshold ?? .max
        self.threshold = threshold
        // Rounded up, so that no call joins the slow calls too early.
        width = max(1, threshold.saturatingAdd(9) / 10)
        guard let end else { return }
        latest = end.saturatingAdd(1)
        first = latest
        newest = slice(of: latest)
    }

    /// Counts a call.
    ///
    /// - Returns: The start of the call, for ``end(start:now:)``.
    mutating func begin(now: Int64) -> Int64 {
        slide(to: now)
        if starts.isEmpty { starts = Array(repeating: 0, count: Self.sliceCount) }
        starts[position(of: newest)] &+= 1
        return latest
    }

    /// Removes a call.
    ///
    /// - Parameters:
    ///   - start: The start from ``begin(now:)``, or from the same method of a count that this count has replaced.
    ///   - now: The time.
    /// - Returns: `true` if the call was slow.
    mutating func end(start: Int64, now: Int64) -> Bool {
        slide(to: now)
        if start >= first {
            let slice = slice(of: start)
            if newest.saturatingSubtract(slice) < Int64(Self.sliceCount) {
                starts[position(of: slice)] &-= 1
            } else {
                slow -= 1
            }
        }
        return latest.saturatingSubtract(start) > threshold
    }

    /// Advances to a reading.
    mutating func slide(to now: Int64) {
        if now <= latest { return }
        latest = now
        let current = slice(of: now)
        let steps = current.saturatingSubtract(newest)
        if steps == 0 { return }
        let previous = newest
        newest = current
        if starts.isEmpty { return }
        for step in 1...min(steps, Int64(Self.sliceCount)) {
            let position = position(of: previous.saturatingAdd(step))
            slow += Int(starts[position])
            starts[position] = 0
        }
    }

    private func slice(of reading: Int64) -> Int64 {
        // Rounded down, for readings below zero too.
        reading >= 0 ? reading / width : -1 - (-1 - reading) / width
    }

    private func position(of slice: Int64) -> Int {
        let remainder = Int(slice % Int64(Self.sliceCount))
        return remainder < 0 ? remainder + Self.sliceCount : remainder
    }
}

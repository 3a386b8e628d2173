import Foundation

/// Figures of several rounds, as their median and their range.
struct Measurement {
    private var figures: [Double] = []

    /// Runs `body` and keeps how long one of its `count` steps took, in nanoseconds.
    mutating func time(_ count: Int, _ body: () -> Void) {
        let start = ContinuousClock.now
        body()
        figures.append((ContinuousClock.now - start) / .nanoseconds(count))
    }

    mutating func keep(_ figure: Double) { figures.append(figure) }

    /// A line such as `arm, in order      141 ns (138–152)`.
    func line(_ name: String, _ unit: String) -> String {
        let sorted = figures.sorted()
        guard let least = sorted.first, let most = sorted.last else { return name }
        let median = sorted[sorted.count / 2]
        func text(_ figure: Double) -> String { String(Int(figure.rounded())) }
        return name.padding(toLength: 44, withPad: " ", startingAt: 0)
            + "\(text(median)) \(unit) (\(text(least))–\(text(most)))"
    }
}

/// What Linux says of this process; nil elsewhere.
func processStatus(_ name: String) -> Int? {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
        let line = status.split(separator: "\n").first(where: { $0.hasPrefix(name + ":") })
    else { return nil }
    return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
}

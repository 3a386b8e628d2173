import Reliability
import Synchronization

/// Counts what happened, for the table at the end.
final class Statistics: Sendable {
    enum Counter: String, CaseIterable {
        case retries, timeouts, breakerTrips = "breaker trips", duplicates = "duplicates stopped"
    }

    private struct State {
        var outcomes: [String: Int] = [:]
        var codes: [String: Int] = [:]
        var counters: [Counter: Int] = [:]
        var answered = 0
        /// How many answers took so many tenths of a millisecond, of which the first three digits are kept.
        var latencies: [Int64: Int] = [:]
    }
    private let state = Mutex(State())

    func count(_ counter: Counter) {
        state.withLock { $0.counters[counter, default: 0] += 1 }
    }

    func record(_ answer: OrderDesk.Answer, after latency: Duration) {
        state.withLock { state in
            state.outcomes[answer.outcome, default: 0] += 1
            if let error = answer.error { state.codes[error.code.rawValue, default: 0] += 1 }
            let isDuplicate = answer.outcome == "replayed" || answer.status == 409
            if isDuplicate { state.counters[.duplicates, default: 0] += 1 }
            state.answered += 1
            state.latencies[Self.rounded(latency), default: 0] += 1
        }
    }

    var answered: Int { state.withLock { $0.answered } }

    /// The table.
    ///
    /// - Parameters:
    ///   - delivered: How many messages this run has delivered.
    ///   - waiting: How many others there are, or nil when the store does not say.
    /// - Returns: Its lines.
    func table(delivered: Int, waiting: RecordCounts?) -> String {
        let state = state.withLock { $0 }
        var rows: [(String, String)] = []
        for outcome in ["executed", "replayed", "pending", "rejected"] {
            rows.append(("orders \(outcome)", "\(state.outcomes[outcome] ?? 0)"))
        }
        for (code, count) in state.codes.sorted(by: { $0.key < $1.key }) { rows.append(("  \(code)", "\(count)")) }
        for counter in Counter.allCases { rows.append((counter.rawValue, "\(state.counters[counter] ?? 0)")) }
        let others = waiting.map { "\($0.pending) / \($0.deadLetters)" } ?? "– / –"
        rows.append(("messages delivered / pending / dead", "\(delivered) / \(others)"))
        let sorted = state.latencies.sorted { $0.key < $1.key }
        let percentiles = [50, 95, 99].map { percent in
            var slower = state.answered - state.answered * percent / 100
            let tenths = sorted.reversed().first {
                slower -= $0.value
                return slower <= 0
            }?.key
            return tenths.map { "\($0 / 10).\($0 % 10) ms" } ?? "–"
        }
        rows.append(("latency p50 / p95 / p99", percentiles.joined(separator: " / ")))
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { $0.0 + String(repeating: " ", count: width + 2 - $0.0.count) + $0.1 }.joined(separator: "\n")
    }

    private static func rounded(_ latency: Duration) -> Int64 {
        let tenths = Int64(latency / .microseconds(100))
        var unit: Int64 = 1
        while tenths / unit >= 1000 { unit *= 10 }
        return tenths / unit * unit
    }
}

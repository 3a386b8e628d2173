internal import Reliability
internal import ReliabilityCore

/// The results of a storm.
package struct StormReport: Sendable {
    /// The requests that arrived in a second.
    package struct Second: Sendable {
        /// The served requests of each priority, the lowest first.
        package var served = CallPriority.allCases.map { _ in 0 }
        /// The requests of each priority that the service shed, the lowest first.
        package var shed = CallPriority.allCases.map { _ in 0 }
        /// The requests of each priority that failed otherwise, the lowest first.
        package var failed = CallPriority.allCases.map { _ in 0 }

        /// The served requests of all priorities.
        package var goodput: Int { served.reduce(0, +) }
        /// All requests.
        package var requests: Int { goodput + shed.reduce(0, +) + failed.reduce(0, +) }
        /// The share of the served requests, or 1 without a request.
        package var success: Double { requests == 0 ? 1 : Double(goodput) / Double(requests) }
    }

    /// The settings of the storm.
    package let storm: Storm
    /// The results of each second in which requests arrived.
    package internal(set) var seconds: [Second]
    /// The durations of the served requests that arrived before the storm, and during the storm.
    var durations: (before: [Duration], during: [Duration]) = ([], [])

    init(_ storm: Storm) {
        self.storm = storm
        seconds = (0..<storm.length).map { _ in Second() }
    }

    /// The served requests of a second of the storm, as a share of the capacity.
    package var goodput: Double {
        let served = seconds[storm.duringStorm].reduce(0) { $0 + $1.goodput }
        return Double(served) / Double(storm.seconds.storm) / storm.capacity
    }

    /// The requests of the storm that were neither served nor shed.
    package var failures: Int { seconds[storm.duringStorm].reduce(0) { $0 + $1.failed.reduce(0, +) } }

    /// Returns a quantile of the durations of served requests.
    ///
    /// - Parameters:
    ///   - share: The share of the requests that took at most as long.
    ///   - isStorm: `true` for the requests of the storm, `false` for those before the storm.
    /// - Returns: The duration, or zero without a request.
    package func quantile(_ share: Double, isStorm: Bool) -> Duration {
        let sorted = (isStorm ? durations.during : durations.before).sorted()
        return sorted.isEmpty ? .zero : sorted[Int(Double(sorted.count - 1) * share)]
    }

    /// The seconds from the end of the storm until 99 of 100 requests are served again, or `nil` if that never occurs.
    package var recovery: Int? {
        let after = seconds[storm.duringStorm.upperBound...]
        guard let last = after.lastIndex(where: { $0.success < 0.99 }) else { return 0 }
        return last + 1 == seconds.endIndex ? nil : last + 1 - storm.duringStorm.upperBound
    }

    /// The seconds in which a request was shed although a request of a lower priority that arrived in the same second
    /// was served, for the priorities from `high` on.
    package var unfairSeconds: [Int] {
        seconds.indices.filter { index in
            let second = seconds[index]
            return [CallPriority.high, .critical].contains { priority in
                second.shed[priority.rawValue] > 0 && second.served[..<priority.rawValue].contains { $0 > 0 }
            }
        }
    }
}

/// Collects the results of requests.
final class StormRecorder: Sendable {
    private let state: Lock<(report: StormReport, open: Int)>

    init(_ storm: Storm) { state = Lock((StormReport(storm), 0)) }

    var isOpen: Bool { state.withLock { $0.open > 0 } }
    var report: StormReport { state.withLock { $0.report } }

    func begin() { state.withLock { $0.open += 1 } }

    func end(_ result: StormService.Result, _ priority: CallPriority, _ second: Int, _ duration: Duration) {
        state.withLock { state in
            state.open -= 1
            guard state.report.seconds.indices.contains(second) else { return }
            switch result {
            case .served:
                state.report.seconds[second].served[priority.rawValue] += 1
                if second < state.report.storm.duringStorm.lowerBound {
                    state.report.durations.before.append(duration)
                } else if state.report.storm.duringStorm.contains(second) {
                    state.report.durations.during.append(duration)
                }
            case .shed: state.report.seconds[second].shed[priority.rawValue] += 1
            case .failed: state.report.seconds[second].failed[priority.rawValue] += 1
            }
        }
    }
}

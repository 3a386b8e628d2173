internal import ReliabilityCore

extension StormReport {
    /// Returns a table of two runs and a chart of their goodput.
    ///
    /// - Parameters:
    ///   - guarded: The run with guards.
    ///   - bare: The run without guards.
    /// - Returns: The lines.
    package static func comparison(_ guarded: StormReport, _ bare: StormReport) -> [String] {
        let storm = guarded.storm
        func row(_ name: String, _ value: (StormReport) -> String) -> String {
            padded(name, 34) + padded(value(guarded), 24) + value(bare)
        }
        var lines = [
            "\(storm.seconds.storm) s of \(Int(storm.load.storm * storm.capacity)) requests a second on a gateway that "
                + "serves \(Int(storm.capacity))", "", padded("", 34) + padded("with guards", 24) + "without guards",
        ]
        lines.append(row("goodput, share of the capacity") { "\(Int(($0.goodput * 100).rounded())) %" })
        lines.append(row("p50 / p99 before the storm") { $0.quantiles(isStorm: false) })
        lines.append(row("p50 / p99 of served requests") { $0.quantiles(isStorm: true) })
        for priority in CallPriority.allCases.reversed() {
            lines.append(row("\(priority): served, shed, failed") { $0.counts(priority) })
        }
        lines.append(row("recovery after the storm") { $0.recovery.map { "\($0) s" } ?? "never" })
        lines += ["", "goodput of each second, the storm between the bars (full height: the capacity)"]
        lines.append("guarded         " + guarded.chart)
        lines.append("without guards  " + bare.chart)
        return lines
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }

    private func quantiles(isStorm: Bool) -> String {
        "\(quantile(0.5, isStorm: isStorm).text) / \(quantile(0.99, isStorm: isStorm).text)"
    }

    private func counts(_ priority: CallPriority) -> String {
        let index = priority.rawValue
        let during = seconds[storm.duringStorm]
        func sum(_ count: (Second) -> Int) -> Int { during.reduce(0) { $0 + count($1) } }
        return "\(sum { $0.served[index] }), \(sum { $0.shed[index] }), \(sum { $0.failed[index] })"
    }

    /// The goodput of each second as a bar of eight heights.
    private var chart: String {
        let bars = Array(" ▁▂▃▄▅▆▇█")
        return seconds.indices.map { index in
            let height = Double(seconds[index].goodput) / storm.capacity * 8
            let bar = String(bars[min(8, max(0, Int(height.rounded())))])
            let isEdge = index == storm.duringStorm.lowerBound || index == storm.duringStorm.upperBound
            return isEdge ? "|" + bar : bar
        }
        .joined()
    }
}

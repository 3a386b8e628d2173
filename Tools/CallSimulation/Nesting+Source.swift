// The Swift source of a nesting.

extension Nesting: CustomStringConvertible {
    package var description: String {
        var lines = ["Nesting("]
        lines.append("    seed: \(seed),")
        lines += list("calls", calls.map { $0.source(8) }, isLast: false)
        let defaults = Nesting(calls: [])
        var rest: [[String]] = []
        if callers != defaults.callers { rest.append(list("callers", callers.map(\.source))) }
        if wellFrom != defaults.wellFrom { rest.append(["    wellFrom: \(wellFrom.source)"]) }
        if !breakers.isEmpty { rest.append(list("breakers", breakers.map(\.source))) }
        if !limits.isEmpty { rest.append(list("limits", limits.map(\.source))) }
        if !bulkheads.isEmpty { rest.append(list("bulkheads", bulkheads.map(\.source))) }
        if let outage { rest.append(["    outage: \(outage.source)"]) }
        if rest.isEmpty {
            lines[lines.count - 1].removeLast()
        } else {
            for (number, part) in rest.enumerated() {
                lines += part
                if number < rest.count - 1 { lines[lines.count - 1] += "," }
            }
        }
        return (lines + [")"]).joined(separator: "\n")
    }

    private func list(_ name: String, _ elements: [String], isLast: Bool = true) -> [String] {
        let end = isLast ? "" : ","
        let line = "    \(name): [\(elements.joined(separator: ", "))]\(end)"
        if line.count <= 116, !line.contains("\n") { return [line] }
        return ["    \(name): ["] + elements.map { "        \($0)," } + ["    ]\(end)"]
    }
}

extension Call {
    /// The source, whose lines after the first have at least this indentation.
    func source(_ indentation: Int) -> String {
        let line = "Call(\(text(layers.map { $0.source(0) })), \(text(steps.map { $0.source(0) })))"
        if line.count <= 100 - indentation, !line.contains("\n") { return line }
        let inner = indentation + 4
        let parts = [
            text(layers.map { $0.source(inner + 4) }, inner), text(steps.map { $0.source(inner + 4) }, inner),
        ]
        return "Call(" + parts.map { newLine(inner) + $0 }.joined(separator: ",") + newLine(indentation) + ")"
    }

    private func text(_ elements: [String], _ indentation: Int? = nil) -> String {
        let line = "[\(elements.joined(separator: ", "))]"
        guard let indentation, line.count > 110 - indentation || line.contains("\n") else { return line }
        return "[" + elements.map { newLine(indentation + 4) + $0 + "," }.joined() + newLine(indentation) + "]"
    }

    private func newLine(_ indentation: Int) -> String { "\n" + String(repeating: " ", count: indentation) }
}

extension Layer {
    var source: String { source(0) }

    func source(_ indentation: Int) -> String {
        switch self {
        case .timeout(let limit): ".timeout(\(limit.source))"
        case .movedTimeout(let limit, let wait, let new):
            ".movedTimeout(\(limit.source), after: \(wait.source), to: \(new.source))"
        case .timeoutOrDefault(let limit): ".timeoutOrDefault(\(limit.source))"
        case .abandoning(let limit, let grace): ".abandoning(\(limit.source), grace: \(grace.source))"
        case .retry(let idempotency, let attempts, let wait, let rejectionWait):
            ".retry(.\(idempotency), attempts: \(attempts), wait: \(wait.source)"
                + (rejectionWait == .zero ? ")" : ", rejectionWait: \(rejectionWait.source))")
        case .hedge(let delay): ".hedge(after: \(delay.source))"
        case .breaker(let number): ".breaker(\(number))"
        case .limiter(let number): ".limiter(\(number))"
        case .bulkhead(let number): ".bulkhead(\(number))"
        case .dedup(let number): ".dedup(\(number))"
        case .fallback: ".fallback"
        case .fallbackTo(let call): ".fallbackTo(\(call.source(indentation)))"
        case .external(let idempotency): ".external(.\(idempotency))"
        case .outbox: ".outbox"
        case .pipeline(let layers): ".pipeline([\(layers.map(\.source).joined(separator: ", "))])"
        }
    }
}

extension Step {
    func source(_ indentation: Int) -> String {
        switch self {
        case .wait(let time): ".wait(\(time.source))"
        case .waitOrStop(let time): ".waitOrStop(\(time.source))"
        case .block(let time): ".block(\(time.source))"
        case .hang: ".hang"
        case .send: ".send"
        case .fail(let failure): ".fail(\(failure.source))"
        case .call(let call): ".call(\(call.source(indentation)))"
        case .attempt(let call): ".attempt(\(call.source(indentation)))"
        case .spawn(let wait, let call): ".spawn(after: \(wait.source), \(call.source(indentation)))"
        case .stall(let time): ".stall(\(time.source))"
        }
    }
}

extension Failure {
    var source: String {
        switch self {
        case .throttled(let wait): ".throttled(retryAfter: \(wait.source))"
        default: ".\(self)"
        }
    }
}

extension Caller {
    var source: String {
        var arguments: [String] = []
        if call != 0 { arguments.append("\(call)") }
        if at != .zero { arguments.append("at: \(at.source)") }
        if let limit { arguments.append("limit: \(limit.source)") }
        if let leaves { arguments.append("leaves: \(leaves.source)") }
        if let leavesWithin { arguments.append("leavesWithin: \(leavesWithin)") }
        return "Caller(\(arguments.joined(separator: ", ")))"
    }
}

extension BreakerShape {
    var source: String {
        switch self {
        case .trips(let count, let openDuration, let probes):
            ".trips(after: \(count), openDuration: \(openDuration.source), probes: \(probes))"
        default: ".\(self)"
        }
    }
}

extension LimitShape {
    var source: String { "LimitShape(\(count), per: \(period.source))" }
}

extension BulkheadShape {
    var source: String {
        waiting == 0 ? "BulkheadShape(\(places))" : "BulkheadShape(\(places), waiting: \(waiting), for: \(wait.source))"
    }
}

extension Outage {
    var source: String { "Outage(.\(kind), from: \(from.source), to: \(to.source))" }
}

extension Duration {
    /// The source of a whole number of milliseconds.
    fileprivate var source: String {
        let milliseconds = Int64(self / .milliseconds(1))
        if milliseconds == 0 { return ".zero" }
        return milliseconds % 1000 == 0 ? ".seconds(\(milliseconds / 1000))" : ".milliseconds(\(milliseconds))"
    }
}

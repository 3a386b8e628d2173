internal import ReliabilityCore

/// The worst case of a pipeline's layers, the problems of their order, and the explanation.
///
/// All arithmetic saturates.
struct LayerAnalysis {
    private let layers: [PolicyLayer]

    init(_ layers: [PolicyLayer]) { self.layers = layers }

    /// An upper bound for a time.
    private enum Bound {
        case atMost(Int64)
        /// Nothing bounds the time.
        case unlimited
        /// The policy with this summary does not state its waits.
        case unknown(String)

        static func + (left: Bound, right: Bound) -> Bound {
            switch (left, right) {
            case (.atMost(let left), .atMost(let right)): .atMost(left.saturatingAdd(right))
            case (.unlimited, _), (_, .unlimited): .unlimited
            case (.unknown, _): left
            case (_, .unknown): right
            }
        }

        func times(_ count: Int) -> Bound {
            switch self {
            case .atMost(let time): .atMost(time.saturatingMultiply(Int64(count)))
            case .unlimited, .unknown: count == 0 ? .atMost(0) : self
            }
        }

        func bounded(by limit: Duration?) -> Bound {
            guard let limit else { return self }
            let nanoseconds = max(0, limit.saturatingNanoseconds)
            if case .atMost(let time) = self { return .atMost(min(time, nanoseconds)) }
            return .atMost(nanoseconds)
        }
    }

    /// The worst case of a layer with all layers inside it.
    private struct Cost {
        var time = Bound.unlimited
        var attempts = 1

        func times(_ count: Int) -> Cost {
            let (product, overflow) = attempts.multipliedReportingOverflow(by: count)
            return Cost(time: time.times(count), attempts: overflow ? .max : product)
        }

        static func + (left: Cost, right: Cost) -> Cost {
            let (sum, overflow) = left.attempts.addingReportingOverflow(right.attempts)
            return Cost(time: left.time + right.time, attempts: overflow ? .max : sum)
        }
    }

    /// The worst case from layer `first` inward.
    ///
    /// - Parameter first: The index of the outermost layer.
    /// - Returns: The worst case of a call, and of an extra attempt of a retry outside these layers. In an extra
    ///   attempt, nested retries that collapse make a single attempt each.
    private func cost(from first: Int) -> (call: Cost, extraAttempt: Cost) {
        var (call, extra) = (Cost(), Cost())
        for layer in layers[first...].reversed() {
            call.time = call.time.bounded(by: layer.limit)
            extra.time = extra.time.bounded(by: layer.limit)
            let attempts = max(0, layer.attempts)
            if layer.collapsesWhenNested {
                call = attempts == 0 ? call.times(0) : call + extra.times(attempts - 1)
                call.time = call.time + bound(layer.waits, layer)
            } else {
                (call, extra) = (call.times(attempts), extra.times(attempts))
                call.time = call.time + bound(layer.waits, layer)
                extra.time = extra.time + bound(layer.waits, layer)
            }
        }
        return (call, extra)
    }

    private func bound(_ waits: Duration?, _ layer: PolicyLayer) -> Bound {
        if let waits { .atMost(max(0, waits.saturatingNanoseconds)) } else { .unknown(layer.summary) }
    }

    var worstCase: WorstCase {
        let cost = cost(from: 0).call
        if case .atMost(let time) = cost.time {
            return WorstCase(duration: .nanoseconds(time), attempts: cost.attempts)
        }
        return WorstCase(duration: nil, attempts: cost.attempts)
    }

    // MARK: Problems and warnings

    /// The problems that make the order unusable; empty for a valid pipeline.
    var problems: [String] {
        var problems: [String] = []
        var shortest: (position: Int, limit: Duration)?
        var seen: [PolicyLayer.Identity: Int] = [:]
        for (position, layer) in layers.enumerated() {
            if let limit = layer.limit {
                if let outer = shortest, limit >= outer.limit {
                    problems.append(
                        "the limit of \(limit.text) of \(name(position)) is never reached, because \(name(outer.position))"
                            + " around it ends after \(outer.limit.text)"
                    )
                } else {
                    shortest = (position, limit)
                }
            }
            if let identity = layer.identity {
                if let first = seen[identity] {
                    problems.append("\(name(first)) and \(name(position)) are the same, so each call counts twice")
                }
                seen[identity] = position
            }
        }
        return problems
    }

    /// The parts of the order that work but are rarely intended.
    var warnings: [String] { layers.indices.flatMap { warnings(about: $0) } }

    private func warnings(about position: Int) -> [String] {
        let layer = layers[position]
        let inside = layers[(position + 1)...]
        var warnings: [String] = []
        if layer.attempts < 1 { warnings.append("\(name(position)) rejects every call") }
        if let inner = rejectingPolicy(inside: position) {
            warnings.append(
                "\(name(position)) counts calls that \(name(inner)) inside it may then reject"
            )
        }
        if layer.kind == .circuitBreaker {
            if let retry = inside.firstIndex(where: isRetry) {
                warnings.append(
                    "\(name(position)) is outside \(name(retry)): the breaker counts whole calls instead of attempts"
                )
            }
            if !inside.contains(where: { $0.limit != nil }) {
                warnings.append(
                    "nothing inside \(name(position)) limits time: a dependency that hangs never counts as a failure"
                )
            }
            if let threshold = layer.slowThreshold { warnings += slowCallWarnings(about: position, threshold) }
            let attempts = attempts(outside: position)
            if let failures = layer.failuresToOpen, attempts > 1, attempts >= failures {
                warnings.append(
                    "the \(attempts) attempts of one call are enough to open \(name(position)) for all calls"
                )
            }
        }
        if layer.kind == .bulkhead, let retry = inside.firstIndex(where: isRetry) {
            warnings.append(
                "\(name(position)) is outside \(name(retry)): a call keeps its place during the waits between attempts"
            )
        }
        if isRetry(layer) {
            if let inner = inside.firstIndex(where: isRetry) {
                let collapse = layer.collapsesWhenNested && layers[inner].collapsesWhenNested
                let sum = collapse ? "extra attempts add up" : "attempts multiply"
                warnings.append("\(name(inner)) is inside \(name(position)): the \(sum), and one retry is enough")
            }
            if layer.rejectionWaits > .zero, let breaker = inside.firstIndex(where: { $0.kind == .circuitBreaker }) {
                warnings.append(
                    "\(name(position)) waits for up to \(layer.rejectionWaits.text) while \(name(breaker)) is open: calls do "
                        + "not fail fast"
                )
            }
            if let warning = overrunWarning(for: position) { warnings.append(warning) }
        }
        return warnings
    }

    /// The policy inside a rate limit that may reject calls after the limit has counted them, or `nil` if there is
    /// none.
    ///
    /// A rate limit around a retry counts the calls of clients. That is the recommended order, so the search ends at a
    /// retry.
    private func rejectingPolicy(inside position: Int) -> Int? {
        guard layers[position].kind == .rateLimit else { return nil }
        for inner in (position + 1)..<layers.count {
            if isRetry(layers[inner]) { return nil }
            if [.rateLimit, .circuitBreaker, .bulkhead].contains(layers[inner].kind) { return inner }
        }
        return nil
    }

    /// The warnings about the threshold of slow calls of a breaker.
    private func slowCallWarnings(about breaker: Int, _ threshold: Duration) -> [String] {
        var warnings: [String] = []
        let inside = cost(from: breaker + 1).call.time
        if case .atMost(let time) = inside, threshold >= .nanoseconds(time) {
            warnings.append(
                "the limits inside \(name(breaker)) end every call after \(Duration.nanoseconds(time).text), so no call is "
                    + "slower than \(threshold.text)"
            )
        }
        for (position, layer) in layers.enumerated().dropFirst(breaker + 1) where layer.kind == .bulkhead {
            guard let wait = layer.waits, wait >= threshold else { continue }
            warnings.append(
                "a wait of up to \(wait.text) for a place of \(name(position)) can make calls slow for \(name(breaker))"
            )
        }
        return warnings
    }

    /// The highest number of times that a call reaches a layer.
    private func attempts(outside position: Int) -> Int {
        LayerAnalysis(Array(layers[..<position])).worstCase.attempts
    }

    /// A warning if the attempts of a retry may not fit into the limit around the retry, or `nil` if the attempts fit.
    ///
    /// Waits that a dependency asks for are not included.
    private func overrunWarning(for retry: Int) -> String? {
        let outer = layers[..<retry].enumerated().compactMap { layer in layer.element.limit.map { (layer.offset, $0) } }
        guard let (position, limit) = outer.min(by: { $0.1 < $1.1 }) else { return nil }
        let layer = layers[retry]
        let rest = "so not all of its \(layer.attempts) attempts fit into the \(limit.text) of \(name(position))"
        if let waits = layer.plannedWaits, waits >= limit {
            return "the waits of \(name(retry)) can take \(waits.text), \(rest)"
        }
        let inside = cost(from: retry + 1).call.time.bounded(by: layer.limit)
        switch inside.times(max(0, layer.attempts)) + bound(layer.plannedWaits, layer) {
        case .atMost(let time) where .nanoseconds(time) > limit:
            return "\(name(retry)) can take \(Duration.nanoseconds(time).text), \(rest)"
        case .unlimited:
            return "nothing inside \(name(retry)) limits time: one attempt that hangs uses up the \(limit.text) of "
                + "\(name(position))"
        case .atMost, .unknown: return nil
        }
    }

    private func isRetry(_ layer: PolicyLayer) -> Bool { layer.kind == .retry && layer.attempts > 1 }

    private func name(_ position: Int) -> String { "\(layers[position].kind) (\(position + 1))" }

    // MARK: Text

    func explanation(of name: String) -> String {
        let width = layers.map(\.kind.rawValue.count).max() ?? 0
        let digits = "\(layers.count)".count
        var lines = [name]
        for (position, layer) in layers.enumerated() {
            let kind = layer.kind.rawValue
            let number = "\(position + 1)"
            lines.append(
                "  " + spaces(digits - number.count) + number + "  " + kind + spaces(width - kind.count + 2)
                    + layer.summary
            )
        }
        let cost = cost(from: 0).call
        let attempts = cost.attempts == 1 ? "1 attempt" : "\(cost.attempts) attempts"
        switch cost.time {
        case .atMost(let time):
            lines.append("At worst, a call takes \(Duration.nanoseconds(time).text) and makes \(attempts).")
        case .unlimited:
            lines.append("At worst, a call makes \(attempts) and never ends: nothing limits its time.")
        case .unknown(let policy):
            lines.append("At worst, a call makes \(attempts); the waits of \(policy) are not known.")
        }
        for (position, layer) in layers.enumerated() {
            lines += layer.notes.map { "\(self.name(position)): \($0)." }
        }
        lines += warnings.map { "Warning: \($0)." }
        return lines.joined(separator: "\n")
    }

    private func spaces(_ count: Int) -> String { String(repeating: " ", count: count) }
}

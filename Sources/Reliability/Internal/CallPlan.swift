internal import ReliabilityCore

/// What the layers of a pipeline come to, and what is wrong with their order.
///
/// All arithmetic saturates.
struct CallPlan {
    private let layers: [PolicyLayer]

    init(_ layers: [PolicyLayer]) { self.layers = layers }

    /// How long something can take at worst.
    private enum Bound {
        case atMost(Int64)
        /// Nothing ends it.
        case unlimited
        /// A policy does not say how long it waits.
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

        func cut(to limit: Duration?) -> Bound {
            guard let limit else { return self }
            let nanoseconds = max(0, limit.saturatingNanoseconds)
            if case .atMost(let time) = self { return .atMost(min(time, nanoseconds)) }
            return .atMost(nanoseconds)
        }
    }

    /// The worst case of some layers and all inside them.
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

    /// The cost of all layers from one on: of a call, and of an extra attempt of a retry outside of them, in which those
    /// retries among them that add up make one attempt each.
    private func cost(from first: Int) -> (call: Cost, extraAttempt: Cost) {
        var (call, extra) = (Cost(), Cost())
        for layer in layers[first...].reversed() {
            call.time = call.time.cut(to: layer.limit)
            extra.time = extra.time.cut(to: layer.limit)
            let attempts = max(0, layer.attempts)
            if layer.addsUp {
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

    // MARK: What is wrong

    /// What cannot work: empty for a pipeline that is to be made.
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

    /// What can work but is seldom meant.
    var warnings: [String] { layers.indices.flatMap { warnings(about: $0) } }

    private func warnings(about position: Int) -> [String] {
        let layer = layers[position]
        let inside = layers[(position + 1)...]
        var warnings: [String] = []
        if layer.attempts < 1 { warnings.append("\(name(position)) lets no call through") }
        if let inner = countedInVain(by: position) {
            warnings.append(
                "\(name(position)) counts a call before \(name(inner)) inside it may reject it: the call is not made, and "
                    + "counts nevertheless"
            )
        }
        if layer.kind == .circuitBreaker {
            if let retry = inside.firstIndex(where: isRetry) {
                warnings.append(
                    "\(name(position)) is outside \(name(retry)): it counts whole calls, and does not see each attempt fail"
                )
            }
            if !inside.contains(where: { $0.limit != nil }) {
                warnings.append(
                    "nothing inside \(name(position)) limits time: a dependency that hangs never counts as failing"
                )
            }
            let attempts = attempts(outside: position)
            if let failures = layer.failuresToOpen, attempts > 1, attempts >= failures {
                warnings.append(
                    "the \(attempts) attempts of one call are enough to open \(name(position)) for all calls"
                )
            }
        }
        if isRetry(layer) {
            if let inner = inside.firstIndex(where: isRetry) {
                let sum = layer.addsUp && layers[inner].addsUp ? "extra attempts add up" : "attempts multiply"
                warnings.append("\(name(inner)) is inside \(name(position)): the \(sum), one is enough")
            }
            if layer.rejectionWaits > .zero, let breaker = inside.firstIndex(where: { $0.kind == .circuitBreaker }) {
                warnings.append(
                    "\(name(position)) waits for up to \(layer.rejectionWaits.text) while \(name(breaker)) is open: calls do "
                        + "not fail fast"
                )
            }
            if let warning = fit(of: position) { warnings.append(warning) }
        }
        return warnings
    }

    /// The policy inside a rate limit that may reject what the limit has counted, or `nil` if there is none.
    ///
    /// A limit around a retry counts the calls of clients, made or not; that is the recommended order.
    private func countedInVain(by position: Int) -> Int? {
        guard layers[position].kind == .rateLimit else { return nil }
        for inner in (position + 1)..<layers.count {
            if isRetry(layers[inner]) { return nil }
            if layers[inner].kind == .rateLimit || layers[inner].kind == .circuitBreaker { return inner }
        }
        return nil
    }

    /// The most times that one call comes to a layer.
    private func attempts(outside position: Int) -> Int {
        CallPlan(Array(layers[..<position])).worstCase.attempts
    }

    /// Says so if a retry can take longer than it is given, without waits that its dependency asks for.
    private func fit(of retry: Int) -> String? {
        let outer = layers[..<retry].enumerated().compactMap { layer in layer.element.limit.map { (layer.offset, $0) } }
        guard let (position, limit) = outer.min(by: { $0.1 < $1.1 }) else { return nil }
        let layer = layers[retry]
        let rest = "so not all of its \(layer.attempts) attempts fit into the \(limit.text) of \(name(position))"
        if let waits = layer.plannedWaits, waits >= limit {
            return "the waits of \(name(retry)) can take \(waits.text), \(rest)"
        }
        let inside = cost(from: retry + 1).call.time.cut(to: layer.limit)
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
            lines.append("At worst, a call makes \(attempts); nobody knows how long \(policy) waits.")
        }
        for (position, layer) in layers.enumerated() {
            lines += layer.notes.map { "\(self.name(position)): \($0)." }
        }
        lines += warnings.map { "Warning: \($0)." }
        return lines.joined(separator: "\n")
    }

    private func spaces(_ count: Int) -> String { String(repeating: " ", count: count) }
}

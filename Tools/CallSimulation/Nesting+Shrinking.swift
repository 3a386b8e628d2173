extension Nesting {
    /// Returns a smaller nesting that violates the same law, or the nesting itself.
    ///
    /// - Parameter law: The law.
    /// - Returns: The nesting.
    package func shrunk(breaking law: Law) -> Nesting {
        shrunk { $0.isTruthful && $0.violations.contains { $0.law == law } }
    }

    /// A Boolean value that indicates whether no operation states that nothing was sent after a request.
    var isTruthful: Bool {
        func isTruthful(_ call: Call, _ isSent: inout Bool) -> Bool {
            for layer in call.layers { if case .outbox = layer { isSent = true } }
            for step in call.steps {
                switch step {
                case .send: isSent = true
                case .fail(.notSent), .fail(.throttled): if isSent { return false }
                case .call(let inner), .attempt(let inner), .spawn(_, let inner):
                    if !isTruthful(inner, &isSent) { return false }
                default: break
                }
            }
            for layer in call.layers {
                if case .fallbackTo(let source) = layer, !isTruthful(source, &isSent) { return false }
            }
            return true
        }
        return calls.allSatisfy { call in
            var isSent = false
            return isTruthful(call, &isSent)
        }
    }

    /// Returns a smaller nesting for which a condition still holds, or the nesting itself.
    ///
    /// - Parameters:
    ///   - tries: The largest number of calls of `holds`.
    ///   - holds: The condition, which is checked for several schedules of each smaller nesting.
    /// - Returns: The nesting.
    package func shrunk(tries: Int = 4000, while holds: (Nesting) -> Bool) -> Nesting {
        var smallest = self
        var left = tries
        var candidates = smallest.simpler[...]
        while left > 0, var candidate = candidates.popFirst() {
            for seed in [candidate.seed] + (0..<8) {
                left -= 1
                candidate.seed = seed
                guard holds(candidate) else { continue }
                smallest = candidate
                candidates = smallest.simpler[...]
                break
            }
        }
        return smallest
    }

    /// Slightly simpler nestings, the simplest first.
    private var simpler: [Nesting] {
        var all: [Nesting] = []
        func add(_ change: (inout Nesting) -> Void) {
            var candidate = self
            change(&candidate)
            if candidate != self { all.append(candidate) }
        }
        if callers.count > 1 {
            for index in callers.indices { add { $0.callers.remove(at: index) } }
        }
        for index in calls.indices where calls.count > 1 {
            add { nesting in
                nesting.calls.remove(at: index)
                for caller in nesting.callers.indices where nesting.callers[caller].call >= index {
                    nesting.callers[caller].call = max(0, nesting.callers[caller].call - 1)
                }
            }
        }
        for index in calls.indices {
            for call in calls[index].simpler { add { $0.calls[index] = call } }
        }
        for index in callers.indices {
            add { $0.callers[index].leavesWithin = nil }
            add { $0.callers[index].leaves = nil }
            add { $0.callers[index].limit = nil }
            add { $0.callers[index].at = .zero }
        }
        add { $0.outage = nil }
        add { $0.wellFrom = .seconds(1000) }
        let used = calls.reduce(into: Used()) { $0.add($1) }
        if used.breaker < breakers.count { add { $0.breakers.removeLast() } }
        if used.limit < limits.count { add { $0.limits.removeLast() } }
        if used.bulkhead < bulkheads.count { add { $0.bulkheads.removeLast() } }
        for index in bulkheads.indices { add { $0.bulkheads[index].waiting = 0 } }
        for index in breakers.indices {
            if case .trips(let count, let openDuration, let probes) = breakers[index] {
                if probes > 1 {
                    add { $0.breakers[index] = .trips(after: count, openDuration: openDuration, probes: 1) }
                }
                if count > 1 {
                    add { $0.breakers[index] = .trips(after: 1, openDuration: openDuration, probes: probes) }
                }
            }
        }
        return all
    }
}

/// The number of shared instances that calls refer to.
private struct Used {
    var breaker = 0
    var limit = 0
    var bulkhead = 0

    mutating func add(_ call: Call) {
        for layer in call.layers { add(layer) }
        for step in call.steps {
            switch step {
            case .call(let call), .attempt(let call), .spawn(_, let call): add(call)
            default: break
            }
        }
    }

    private mutating func add(_ layer: Layer) {
        switch layer {
        case .breaker(let number): breaker = max(breaker, number + 1)
        case .limiter(let number): limit = max(limit, number + 1)
        case .bulkhead(let number): bulkhead = max(bulkhead, number + 1)
        case .pipeline(let layers): for layer in layers { add(layer) }
        case .fallbackTo(let call): add(call)
        default: break
        }
    }
}

extension Call {
    fileprivate var simpler: [Call] {
        var all: [Call] = []
        for index in layers.indices {
            var candidate = self
            candidate.layers.remove(at: index)
            all.append(candidate)
        }
        for index in steps.indices {
            var candidate = self
            candidate.steps.remove(at: index)
            all.append(candidate)
        }
        for index in steps.indices {
            for step in steps[index].simpler {
                var candidate = self
                candidate.steps.replaceSubrange(index...index, with: step)
                all.append(candidate)
            }
        }
        for index in layers.indices {
            for layer in layers[index].simpler {
                var candidate = self
                candidate.layers.replaceSubrange(index...index, with: layer)
                all.append(candidate)
            }
        }
        return all
    }
}

extension Layer {
    /// The possible replacements of the layer.
    fileprivate var simpler: [[Layer]] {
        switch self {
        case .pipeline(let layers):
            var all = [layers]
            for index in layers.indices where layers.count > 1 {
                var fewer = layers
                fewer.remove(at: index)
                all.append([.pipeline(fewer)])
            }
            return all
        case .retry(let idempotency, let attempts, let wait, let rejectionWait):
            var all: [[Layer]] = []
            if rejectionWait != .zero { all.append([.retry(idempotency, attempts: attempts, wait: wait)]) }
            if attempts > 2 { all.append([.retry(idempotency, attempts: 2, wait: wait, rejectionWait: rejectionWait)]) }
            if wait != .zero {
                all.append([.retry(idempotency, attempts: attempts, wait: .zero, rejectionWait: rejectionWait)])
            }
            return all
        case .abandoning(let limit, let grace):
            return [[.timeout(limit)]] + (grace == .zero ? [] : [[.abandoning(limit, grace: .zero)]])
        case .movedTimeout(let limit, _, _): return [[.timeout(limit)]]
        case .fallbackTo(let call): return [[.fallback]] + call.simpler.map { [.fallbackTo($0)] }
        case .timeoutOrDefault(let limit): return [[.timeout(limit)]]
        case .external(let idempotency): return [[.retry(idempotency, attempts: 2, wait: .zero)]]
        default: return []
        }
    }
}

extension Step {
    /// The possible replacements of the step.
    fileprivate var simpler: [[Step]] {
        switch self {
        case .call(let call):
            return [call.steps] + call.simpler.map { [.call($0)] }
        case .attempt(let call):
            return [[.call(call)]] + call.simpler.map { [.attempt($0)] }
        case .spawn(let wait, let call):
            let others: [[Step]] = call.simpler.map { [.spawn(after: wait, $0)] }
            return (wait == .zero ? [] : [[.spawn(after: .zero, call)]]) + others
        case .waitOrStop(let time): return [[.wait(time)]]
        case .fail(let failure): return failure == .plain || failure == .notSent ? [] : [[.fail(.plain)]]
        case .wait, .block, .hang, .send, .stall: return []
        }
    }
}

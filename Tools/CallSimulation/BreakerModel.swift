import CircuitBreaker
import ReliabilityCore

/// A circuit breaker written from the documentation of the module, with arrays and loops.
///
/// The model shares no code with the breaker. Times are nanoseconds.
struct BreakerModel {
    /// A rule for a share of the calls.
    struct RateRule: Hashable {
        enum Measure: CaseIterable { case failed, slow, slowOrFailed }

        var measure: Measure
        var share: Double
        var minCalls: Int
        /// The length of the window, or `nil` for a number of calls.
        var length: Int64?
        var count: Int?
    }

    /// The figures of a breaker.
    struct Rules: Hashable {
        var consecutive: (count: Int, lasting: Int64)? { consecutiveCount.map { ($0, consecutiveLasting) } }
        var consecutiveCount: Int?
        var consecutiveLasting: Int64 = 0
        var failuresCount: Int?
        var failuresLength: Int64 = 1
        var rates: [RateRule] = []
        var slowThreshold: Int64?
        var openLength: Int64 = 1
        var factor = 1.0
        var maxOpenLength: Int64?
        var jitter = 0.0
        var maxRetryAfter: Int64?
        var probes = 1
        var concurrentProbes: Int?
        var toleratedFailures = 0
        var lease: Int64?
        var rampLength: Int64 = 0
        var rampStart = 0.1
        var isDryRun = false
    }

    enum Answer: Hashable {
        case admitted
        case rejected(wait: Int64?)
    }

    enum Phase: Hashable {
        case closed
        case ramping(since: Int64)
        case open(until: Int64)
        case halfOpen
    }

    /// A call that was admitted and has not ended.
    struct Call {
        var number: Int
        var start: Int64
        /// The generation that the call counts in, or `nil` if its outcome does not count.
        var generation: Int?
        /// The time at which a probe loses its place, or `nil` if the call is not a probe.
        var leaseEnd: Int64?
        /// Whether the call was admitted under a rule for slow calls.
        var isTimed: Bool
    }

    /// A call that ended and counted.
    struct Ended {
        var at: Int64
        var hasFailed: Bool
        /// Whether the call was slow, or `nil` if that is not known.
        var isSlow: Bool?
    }

    let rules: Rules
    var phase = Phase.closed
    var generation = 1
    var running: [Call] = []
    var lostProbes: Set<Int> = []
    /// The calls that ended in this generation, oldest first.
    var ended: [Ended] = []
    var successfulProbes = 0
    var failedProbes = 0
    /// The number of times that a lease has doubled in this half-open phase.
    var doublings = 0
    /// The number of openings since the breaker was last closed for good.
    var reopenings = 0
    var rampCredit = 1.0
    var forcedOpen = 0
    var forcedClosed = 0
    var rejections = 0
    private var nextNumber = 0

    init(_ rules: Rules) { self.rules = rules }

    // MARK: Admission

    /// Answers a call, and returns its number if the call runs.
    mutating func admit(_ now: Int64) -> (answer: Answer, number: Int?) {
        if forcedOpen > 0 {
            rejections += 1
            return (.rejected(wait: nil), nil)
        }
        if forcedClosed > 0 { return (.admitted, add(now, counts: false)) }
        endRamp(now)
        if let wait = rejection(now) {
            rejections += 1
            return rules.isDryRun ? (.admitted, add(now, counts: false)) : (.rejected(wait: wait), nil)
        }
        return (.admitted, add(now, counts: true))
    }

    /// The wait of a rejected call, or `nil` for an admitted call.
    private mutating func rejection(_ now: Int64) -> Int64? {
        switch phase {
        case .closed: break
        case .open(let until):
            if now < until { return until - now }
            generation += 1
            phase = .halfOpen
            (successfulProbes, failedProbes, doublings) = (0, 0, 0)
            return nil
        case .halfOpen:
            removeLostProbes(now)
            let active = probes
            let needed = rules.probes - successfulProbes - failedProbes
            if active.count < min(needed, rules.concurrentProbes ?? rules.probes) { return nil }
            return active.compactMap(\.leaseEnd).map { $0 - now }.min()
        case .ramping: break
        }
        if slowRunning(now) > 0, meetsSlowRule(now) {
            open(now, for: nil)
            return openWait(now)
        }
        guard case .ramping(let since) = phase else { return nil }
        rampCredit += share(now, since)
        if rampCredit < 1 { return since + rules.rampLength - now }
        rampCredit -= 1
        return nil
    }

    func share(_ now: Int64, _ since: Int64) -> Double {
        // The same expression as in the documentation: from the start, linear in the elapsed time.
        let left = Double(since + rules.rampLength - now) / Double(rules.rampLength)
        return rules.rampStart + (1 - rules.rampStart) * (1 - left)
    }

    private func openWait(_ now: Int64) -> Int64? {
        if case .open(let until) = phase { until - now } else { nil }
    }

    private mutating func add(_ now: Int64, counts: Bool) -> Int {
        nextNumber += 1
        var call = Call(number: nextNumber, start: now, generation: counts ? generation : nil, isTimed: false)
        if counts {
            if phase == .halfOpen {
                var lease = rules.lease ?? rules.openLength
                for _ in 0..<doublings { lease *= 2 }
                call.leaseEnd = now + lease
            } else {
                call.isTimed = rules.slowThreshold != nil
            }
        }
        running.append(call)
        return nextNumber
    }

    /// The probes that have not lost their places.
    var probes: [Call] {
        running.filter { $0.leaseEnd != nil && $0.generation == generation && !lostProbes.contains($0.number) }
    }

    private mutating func removeLostProbes(_ now: Int64) {
        let lost = probes.filter { ($0.leaseEnd ?? 0) <= now }
        if lost.isEmpty { return }
        lostProbes.formUnion(lost.map(\.number))
        doublings += 1
    }

    private mutating func endRamp(_ now: Int64) {
        guard case .ramping(let since) = phase, now >= since + rules.rampLength else { return }
        phase = .closed
        reopenings = 0
    }

    // MARK: End of a call

    mutating func end(_ number: Int, _ outcome: Outcome, retryAfter: Int64?, _ now: Int64) {
        guard let index = running.firstIndex(where: { $0.number == number }) else { return }
        let call = running.remove(at: index)
        guard call.generation == generation else { return }
        if phase == .halfOpen {
            endProbe(call, outcome, retryAfter, now)
            return
        }
        endRamp(now)
        if opensOnHint(retryAfter, now) || outcome == .ignored { return }
        var isSlow: Bool?
        if call.isTimed, let threshold = rules.slowThreshold { isSlow = now - call.start > threshold }
        let hasFailed = outcome == .failure
        ended.append(Ended(at: now, hasFailed: hasFailed, isSlow: isSlow))
        let meetsFailureRule = hasFailed && meetsFailureRule(now)
        let isEvidence = hasFailed || isSlow == true || slowRunning(now) > 0
        if meetsFailureRule || isSlow != nil && isEvidence && meetsSlowRule(now) { open(now, for: nil) }
    }

    private mutating func endProbe(_ call: Call, _ outcome: Outcome, _ retryAfter: Int64?, _ now: Int64) {
        // The ended call is no longer among the running calls, so its lease is judged here.
        let isLost = lostProbes.contains(call.number) || (call.leaseEnd ?? 0) <= now
        let before = doublings
        removeLostProbes(now)
        if isLost {
            if !lostProbes.contains(call.number), doublings == before { doublings += 1 }
            return
        }
        if outcome != .ignored {
            let isSlow = rules.slowThreshold.map { now - call.start > $0 } ?? false
            if outcome == .success, !isSlow { successfulProbes += 1 } else { failedProbes += 1 }
        }
        if opensOnHint(retryAfter, now) { return }
        if failedProbes > rules.toleratedFailures {
            open(now, for: nil)
        } else if successfulProbes + rules.toleratedFailures >= rules.probes {
            generation += 1
            (ended, lostProbes) = ([], [])
            (successfulProbes, failedProbes) = (0, 0)
            rampCredit = 1
            if rules.rampLength > 0 {
                phase = .ramping(since: now)
            } else {
                phase = .closed
                reopenings = 0
            }
        }
    }

    private mutating func opensOnHint(_ retryAfter: Int64?, _ now: Int64) -> Bool {
        guard let retryAfter, let most = rules.maxRetryAfter, retryAfter > 0 else { return false }
        open(now, for: min(retryAfter, most))
        return true
    }

    /// The bounds of the end of the last open time, between which jitter chooses.
    private(set) var openEnds: ClosedRange<Int64> = 0...0
    /// Whether the choice of jitter is not known yet.
    private(set) var hasUnknownJitter = false

    /// Takes over the end of the open time that jitter has chosen.
    mutating func adopt(until: Int64) {
        phase = .open(until: until)
        hasUnknownJitter = false
    }

    /// The state that the breaker reports.
    func state(_ now: Int64) -> Breaker.State {
        if forcedOpen > 0 { return .forcedOpen }
        if forcedClosed > 0 { return .forcedClosed }
        switch phase {
        case .closed: return .closed
        case .ramping(let since):
            return now >= since + rules.rampLength ? .closed : .ramping(admittedShare: share(now, since))
        case .open(let until): return .open(remaining: .nanoseconds(max(0, until - now)))
        case .halfOpen: return .halfOpen
        }
    }

    private mutating func open(_ now: Int64, for hint: Int64?) {
        if phase != .closed { reopenings += 1 }
        var length = Double(rules.openLength)
        for _ in 0..<reopenings { length = min(length * rules.factor, 1e15) }
        let most = rules.maxOpenLength ?? rules.openLength * 10
        let chosen = hint ?? min(Int64(length), most)
        openEnds = now + chosen...now + chosen + Int64(Double(chosen) * rules.jitter)
        hasUnknownJitter = rules.jitter > 0
        generation += 1
        phase = .open(until: now + chosen)
        (ended, lostProbes) = ([], [])
        (successfulProbes, failedProbes) = (0, 0)
    }

    // MARK: Rules

    /// The number of running calls that have passed the threshold, in slices of a tenth of the threshold.
    func slowRunning(_ now: Int64) -> Int {
        guard let threshold = rules.slowThreshold else { return 0 }
        let slice = max(1, (threshold + 9) / 10)
        return running.count { $0.isTimed && $0.generation == generation && now / slice - $0.start / slice >= 11 }
    }

    private func meetsFailureRule(_ now: Int64) -> Bool {
        if let (count, lasting) = rules.consecutive {
            let last = ended.reversed().prefix { $0.hasFailed }
            if last.count >= count, let first = last.last, now - first.at >= lasting { return true }
        }
        if let count = rules.failuresCount {
            let failures = ended.filter(\.hasFailed).suffix(count)
            if failures.count == count, failures.allSatisfy({ now - $0.at < rules.failuresLength }) { return true }
        }
        return rules.rates.contains { $0.measure == .failed && meets($0, now, adding: 0) }
    }

    private func meetsSlowRule(_ now: Int64) -> Bool {
        rules.rates.contains { $0.measure != .failed && meets($0, now, adding: slowRunning(now)) }
    }

    private func meets(_ rule: RateRule, _ now: Int64, adding running: Int) -> Bool {
        let (calls, hits) = counts(rule, now)
        return calls + running >= rule.minCalls && Double(hits + running) / Double(calls + running) >= rule.share
    }

    /// The numbers of calls and of hits in the window of a rule.
    func counts(_ rule: RateRule, _ now: Int64) -> (calls: Int, hits: Int) {
        var calls = ended
        if rule.measure != .failed { calls.removeAll { $0.isSlow == nil } }
        if let count = rule.count { calls = Array(calls.suffix(count)) }
        if let length = rule.length {
            // The window slides in tenths.
            let slices = min(10, length)
            let slice = max(1, length / slices)
            calls.removeAll { now / slice - $0.at / slice >= slices }
        }
        let hits = calls.count { call in
            switch rule.measure {
            case .failed: call.hasFailed
            case .slow: call.isSlow == true
            case .slowOrFailed: call.hasFailed || call.isSlow == true
            }
        }
        return (calls.count, hits)
    }
}

import CircuitBreaker
import ReliabilityCore
import ReliabilityTesting

extension BreakerModel.Rules {
    /// Returns random figures.
    ///
    /// Every kind of rule and every field has a share of the figures.
    static func random(using random: inout SeededGenerator) -> BreakerModel.Rules {
        func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
        func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
        func time(_ range: ClosedRange<Int64>) -> Int64 { Int64.random(in: range, using: &random) }

        var rules = BreakerModel.Rules()
        if chance(40) {
            rules.consecutiveCount = number(1...4)
            if chance(40) { rules.consecutiveLasting = time(0...60) }
        }
        if chance(30) {
            rules.failuresCount = number(1...4)
            rules.failuresLength = time(1...200)
        }
        for measure in BreakerModel.RateRule.Measure.allCases where chance(50) {
            let count = chance(50) ? number(1...20) : nil
            rules.rates.append(
                BreakerModel.RateRule(
                    measure: measure,
                    share: Double(number(1...10)) / 10,
                    minCalls: number(1...min(6, count ?? 6)),
                    length: count == nil ? time(1...400) : nil,
                    count: count
                )
            )
        }
        if rules.rates.contains(where: { $0.measure != .failed }) { rules.slowThreshold = time(1...120) }
        if rules.rates.isEmpty, rules.failuresCount == nil, rules.consecutiveCount == nil { rules.consecutiveCount = 2 }
        rules.openLength = time(1...100)
        if chance(50) { rules.factor = [1.5, 2, 10][number(0...2)] }
        if chance(50) { rules.maxOpenLength = rules.openLength + time(0...300) }
        if chance(25) { rules.jitter = [0.1, 0.5, 1][number(0...2)] }
        if chance(40) { rules.maxRetryAfter = time(1...200) }
        rules.probes = number(1...5)
        if chance(50) { rules.concurrentProbes = number(1...5) }
        if chance(50) { rules.toleratedFailures = number(0...rules.probes - 1) }
        if chance(50) { rules.lease = time(1...100) }
        if chance(40) {
            rules.rampLength = time(1...300)
            rules.rampStart = [0.05, 0.1, 0.5, 1][number(0...3)]
        }
        rules.isDryRun = chance(15)
        return rules
    }

    /// The same figures for a breaker.
    var configuration: Breaker.Configuration {
        var conditions: [TripCondition] = []
        if let count = consecutiveCount {
            conditions.append(.consecutiveFailures(count, lasting: .nanoseconds(consecutiveLasting)))
        }
        if let count = failuresCount { conditions.append(.failures(count, within: .nanoseconds(failuresLength))) }
        conditions += rates.map { $0.condition(slowerThan: .nanoseconds(slowThreshold ?? 1)) }
        return Breaker.Configuration(
            tripCondition: conditions.dropFirst().reduce(conditions[0]) { $0.or($1) },
            openDuration: .nanoseconds(openLength),
            openDurationFactor: factor,
            maxOpenDuration: maxOpenLength.map { .nanoseconds($0) },
            jitter: jitter,
            maxRetryAfter: maxRetryAfter.map { .nanoseconds($0) },
            probes: probes,
            maxConcurrentProbes: concurrentProbes,
            toleratedProbeFailures: toleratedFailures,
            probeLease: lease.map { .nanoseconds($0) },
            rampDuration: .nanoseconds(rampLength),
            rampStart: rampStart,
            isDryRun: isDryRun
        )
    }
}

extension BreakerModel.RateRule {
    fileprivate func condition(slowerThan threshold: Duration) -> TripCondition {
        switch (measure, length, count) {
        case (.failed, let length?, _): .failureRate(share, minCalls: minCalls, within: .nanoseconds(length))
        case (.failed, nil, let count): .failureRate(share, minCalls: minCalls, ofLast: count ?? 1)
        case (.slow, let length?, _):
            .slowCallRate(share, slowerThan: threshold, minCalls: minCalls, within: .nanoseconds(length))
        case (.slow, nil, let count):
            .slowCallRate(share, slowerThan: threshold, minCalls: minCalls, ofLast: count ?? 1)
        case (.slowOrFailed, let length?, _):
            .slowOrFailedRate(share, slowerThan: threshold, minCalls: minCalls, within: .nanoseconds(length))
        case (.slowOrFailed, nil, let count):
            .slowOrFailedRate(share, slowerThan: threshold, minCalls: minCalls, ofLast: count ?? 1)
        }
    }
}

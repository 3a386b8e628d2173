import CircuitBreaker
import ReliabilityCore
import ReliabilityTesting

/// A random sequence of calls through a breaker and through the model of the breaker.
///
/// The configuration, the calls and the times follow from the seed and the number. Every answer and every snapshot of
/// the breaker is compared with the model.
package struct BreakerTrace {
    /// The number of steps of a trace.
    package static let length = 200

    /// The steps that the trace has made, for a report.
    package private(set) var steps: [String] = []

    private var random: SeededGenerator
    private let clock = ManualClock()
    private var now: Int64 = 0
    private let breaker: Breaker
    private var model: BreakerModel
    private var permits: [(number: Int, permit: Permit)] = []
    private var handles: [(opens: Bool, handle: BreakerOverride)] = []

    /// A permit that can be stored in an array.
    private final class Permit {
        private var permit: BreakerPermit?
        init(_ permit: consuming BreakerPermit) { self.permit = consume permit }

        func settle(_ outcome: Outcome, _ retryAfter: Int64?) {
            guard let permit = permit.take() else { return }
            switch outcome {
            case .success: permit.succeed()
            case .failure:
                if let retryAfter { permit.fail(retryAfter: .nanoseconds(retryAfter)) } else { permit.fail() }
            case .ignored: permit.ignore()
            }
        }
    }

    /// Creates a trace.
    package init(seed: UInt64, number: Int) {
        random = SeededGenerator(seed: seed &* 1_000_003 &+ UInt64(truncatingIfNeeded: number))
        let rules = BreakerModel.Rules.random(using: &random)
        model = BreakerModel(rules)
        breaker = Breaker(rules.configuration, clock: clock, randomness: SeededGenerator(seed: random.next()))
        steps.append("\(rules)")
    }

    /// Runs the trace.
    ///
    /// - Returns: The first difference, or `nil` if there is none.
    package mutating func firstDifference() -> String? {
        for _ in 0..<Self.length {
            if let difference = step() ?? differenceOfSnapshots() { return difference }
        }
        return nil
    }

    private mutating func step() -> String? {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<45: return admit()
        case 45..<75:
            end()
            return nil
        case 75..<98:
            advance()
            return nil
        default:
            force()
            return nil
        }
    }

    private mutating func admit() -> String? {
        let (expected, number) = model.admit(now)
        var answer = BreakerModel.Answer.admitted
        do throws(BreakerOpenError) {
            let permit = Permit(try breaker.acquire())
            if let number { permits.append((number, permit)) }
        } catch { answer = .rejected(wait: error.retryAfter?.saturatingNanoseconds) }
        steps.append("\(now): call \(number ?? 0) is \(answer)")
        var rejected = expected
        if let difference = adoptOpenTime() { return difference }
        // Jitter lengthens the wait of a call that opens the breaker.
        if case .rejected(.some) = expected, case .open(let until) = model.phase, model.forcedOpen == 0 {
            rejected = .rejected(wait: until - now)
        }
        return rejected == answer ? nil : "\(now): the breaker answers \(answer), the model \(rejected)"
    }

    private mutating func end() {
        guard !permits.isEmpty else { return }
        let (number, permit) = permits.remove(at: Int.random(in: 0..<permits.count, using: &random))
        let outcome = [Outcome.success, .success, .failure, .failure, .ignored][
            Int.random(in: 0..<5, using: &random)
        ]
        var retryAfter: Int64?
        if outcome == .failure, Int.random(in: 0..<6, using: &random) == 0 {
            retryAfter = Int64.random(in: -5...200, using: &random)
        }
        steps.append("\(now): call \(number) ends, \(outcome), retryAfter \(retryAfter ?? 0)")
        model.end(number, outcome, retryAfter: retryAfter, now)
        permit.settle(outcome, retryAfter)
    }

    private mutating func advance() {
        let scale = [Int64(1), 3, 10, 50, 300][Int.random(in: 0..<5, using: &random)]
        let step = Int64.random(in: 0...scale, using: &random)
        now += step
        clock.advance(by: .nanoseconds(step))
    }

    private mutating func force() {
        if handles.isEmpty || Bool.random(using: &random) {
            let opens = Bool.random(using: &random)
            handles.append((opens, opens ? breaker.forceOpen() : breaker.forceClosed()))
            if opens { model.forcedOpen += 1 } else { model.forcedClosed += 1 }
            steps.append("\(now): forced, \(opens)")
        } else {
            let (opens, handle) = handles.remove(at: Int.random(in: 0..<handles.count, using: &random))
            handle.release()
            if opens { model.forcedOpen -= 1 } else { model.forcedClosed -= 1 }
            steps.append("\(now): released, \(opens)")
        }
    }

    /// Takes over the open time that jitter has chosen.
    private mutating func adoptOpenTime() -> String? {
        guard case .open(let until) = model.phase, model.hasUnknownJitter, handles.isEmpty else { return nil }
        guard case .open(let remaining) = breaker.state else {
            return "\(now): the breaker is \(breaker.state), not open"
        }
        let actual = now + remaining.saturatingNanoseconds
        // The end of an elapsed time cannot be read.
        let isPossible = actual == now && until <= now || model.openEnds.contains(actual)
        if !isPossible { return "\(now): the breaker is open until \(actual), the model until \(model.openEnds)" }
        model.adopt(until: actual)
        return nil
    }

    private mutating func differenceOfSnapshots() -> String? {
        if let difference = adoptOpenTime() { return difference }
        let snapshot = breaker.snapshot
        let state = model.state(now)
        if snapshot.state != state { return "\(now): the state is \(snapshot.state), of the model \(state)" }
        var figures = [
            ("rejectedCalls", Int(snapshot.rejectedCalls), model.rejections),
            ("runningProbes", snapshot.runningProbes, model.probes.count),
            ("successfulProbes", snapshot.successfulProbes, model.successfulProbes),
            ("failedProbes", snapshot.failedProbes, model.failedProbes),
            ("runningSlowCalls", snapshot.runningSlowCalls ?? 0, model.slowRunning(now)),
        ]
        for rule in model.rules.rates {
            let ours =
                switch rule.measure {
                case .failed: snapshot.failureRate
                case .slow: snapshot.slowCallRate
                case .slowOrFailed: snapshot.slowOrFailedRate
                }
            let (calls, hits) = model.counts(rule, now)
            figures.append(("calls of the rate \(rule.measure)", ours?.calls ?? -1, calls))
            figures.append(("hits of the rate \(rule.measure)", ours?.hits ?? -1, hits))
        }
        for (name, ours, theirs) in figures where ours != theirs {
            return "\(now): \(name) is \(ours), of the model \(theirs)"
        }
        return nil
    }
}

import ReliabilityTesting
import Retry

/// Draws random nestings, the same nesting for the same seed and number.
///
/// The number determines a pair of layers, one inside the other. As many consecutive numbers as pairs draw each pair once.
/// The parameters, further layers, the operation, the callers and the shared instances are random.
package struct NestingGenerator {
    /// A kind of layer.
    private enum Kind: Int, CaseIterable {
        case timeout, movedTimeout, timeoutOrDefault, abandoning, retry, hedge, breaker, limiter, dedup, outbox,
            fallback
        case fallbackTo, external, pipeline, bulkhead
    }

    /// The number of pairs of kinds.
    package static let pairs = Kind.allCases.count * Kind.allCases.count

    private var random: SeededGenerator

    private init(seed: UInt64, number: Int) {
        random = SeededGenerator(seed: seed)
        random = SeededGenerator(seed: random.next() ^ UInt64(truncatingIfNeeded: number))
    }

    /// Draws a nesting.
    ///
    /// - Parameters:
    ///   - seed: Decides everything but the pair.
    ///   - number: Decides everything.
    /// - Returns: The nesting.
    package static func nesting(seed: UInt64, number: Int) -> Nesting {
        var generator = NestingGenerator(seed: seed, number: number)
        let kinds = Kind.allCases
        let pair = number % pairs
        while true {
            let nesting = generator.nesting(kinds[pair / kinds.count], kinds[pair % kinds.count])
            // Rarely, a fallback's source sends, and a later step denies the sending.
            if nesting.isTruthful { return nesting }
        }
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    private mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

    private mutating func one<Element>(of elements: [Element]) -> Element {
        elements[Int.random(in: elements.indices, using: &random)]
    }

    /// A short time; there are few, so that many things happen at one instant.
    private mutating func time() -> Duration { .milliseconds(one(of: [5, 10, 20, 50, 100])) }

    /// A limit, mostly longer than the times that an operation takes.
    private mutating func limit() -> Duration { .milliseconds(one(of: [10, 20, 50, 100, 200])) }

    private mutating func nesting(_ outer: Kind, _ inner: Kind) -> Nesting {
        let breakers = (0..<number(1...2)).map { _ in breaker() }
        let limits = [LimitShape(number(1...3), per: .milliseconds(one(of: [10, 100, 1000])))]
        let bulkheads = [bulkhead()]
        let parts = Parts(breakers: breakers.count, limits: limits.count, bulkheads: bulkheads.count)
        var calls = [call(around: outer, inner, parts)]
        if chance(20) { calls.append(call(parts, depth: 0)) }
        let callers = (0..<number(1...(chance(50) ? 1 : 4))).map { _ in caller(calls.count) }
        return Nesting(
            seed: UInt64(number(0...999_999)),
            calls: calls,
            callers: callers,
            wellFrom: .milliseconds(one(of: [0, 15, 50, 200, 2000, 300_000, 300_000])),
            breakers: breakers,
            limits: limits,
            bulkheads: bulkheads,
            outage: chance(25) ? outage() : nil
        )
    }

    /// The instances that layers may refer to.
    private struct Parts {
        let breakers: Int
        let limits: Int
        let bulkheads: Int
        /// A Boolean value that indicates whether something was sent before, so that no error may deny the sending.
        var isSent = false
    }

    private mutating func breaker() -> BreakerShape {
        switch number(0...3) {
        case 0: .countsFailures
        case 1: .countsCalls
        default:
            .trips(after: number(1...2), openDuration: .milliseconds(one(of: [50, 1000, 5000])), probes: number(1...2))
        }
    }

    private mutating func bulkhead() -> BulkheadShape {
        BulkheadShape(number(1...2), waiting: number(0...3), for: .milliseconds(one(of: [10, 50, 1000])))
    }

    private mutating func outage() -> Outage {
        let from = Duration.milliseconds(one(of: [0, 5, 20, 50]))
        return Outage(
            one(of: [.rejects, .loses, .hangs, .stalls]),
            from: from,
            to: from + .milliseconds(one(of: [10, 100, 2000]))
        )
    }

    private mutating func caller(_ calls: Int) -> Caller {
        Caller(
            number(0...calls - 1),
            at: chance(60) ? .zero : time(),
            limit: chance(30) ? limit() : nil,
            leaves: chance(20) ? time() : nil,
            leavesWithin: chance(20) ? number(1...60) : nil
        )
    }

    /// A call with two layers, the one around the other, and perhaps others: of the call or of one that it makes.
    private mutating func call(around outer: Kind, _ inner: Kind, _ parts: Parts) -> Call {
        var first = layer(outer, parts, depth: 0)
        let second = layer(inner, parts, depth: 0)
        // One instance at both levels.
        if outer == inner, chance(50) { first = second }
        var layers = [first]
        if chance(25) { layers.append(layer(parts, depth: 0)) }
        var parts = parts
        if outer == .retry, chance(30) {
            // A retry with a long attempt that handles the errors of its nested call.
            return Call(
                layers,
                [.wait(.seconds(90)), .attempt(Call([second], steps(&parts, depth: 1))), .fail(.plain)]
            )
        }
        if chance(25) {
            let isSent = chance(50)
            parts.isSent = isSent
            let nested = Call([second], steps(&parts, depth: 1))
            let step: Step = chance(70) ? .call(nested) : .attempt(nested)
            return Call(layers, (isSent ? [.send, wait()] : []) + [step])
        }
        layers.append(second)
        if chance(25) { layers.append(layer(parts, depth: 0)) }
        if chance(15) { layers.insert(layer(parts, depth: 0), at: 0) }
        return Call(layers, steps(&parts, depth: 0))
    }

    private mutating func call(_ parts: Parts, depth: Int) -> Call {
        var parts = parts
        return call(&parts, depth: depth)
    }

    private mutating func call(_ parts: inout Parts, depth: Int) -> Call {
        let layers = (0..<number(0...2)).map { _ in layer(parts, depth: depth) }
        return Call(layers, steps(&parts, depth: depth))
    }

    private mutating func layer(_ parts: Parts, depth: Int) -> Layer {
        layer(one(of: Kind.allCases), parts, depth: depth)
    }

    private mutating func layer(_ kind: Kind, _ parts: Parts, depth: Int) -> Layer {
        switch kind {
        case .timeout: .timeout(limit())
        case .movedTimeout: .movedTimeout(limit(), after: time(), to: limit())
        case .timeoutOrDefault: .timeoutOrDefault(limit())
        case .abandoning: .abandoning(limit(), grace: chance(50) ? .zero : time())
        case .retry: retry()
        case .hedge: .hedge(after: time())
        case .breaker: .breaker(number(0...parts.breakers - 1))
        case .limiter: .limiter(number(0...parts.limits - 1))
        case .bulkhead: .bulkhead(number(0...parts.bulkheads - 1))
        case .dedup: .dedup(number(0...1))
        case .outbox: .outbox
        case .fallback: .fallback
        case .fallbackTo: depth < 2 ? .fallbackTo(call(parts, depth: depth + 1)) : .fallback
        case .external: .external(one(of: [.idempotent, .notIdempotent]))
        case .pipeline: pipeline(parts)
        }
    }

    private mutating func retry() -> Layer {
        .retry(
            one(of: [.idempotent, .notIdempotent]),
            attempts: number(2...4),
            wait: chance(30) ? .zero : time(),
            rejectionWait: chance(30) ? .seconds(1) : .zero
        )
    }

    /// Some policies in the order that a pipeline takes: limits that are shorter inside, and each instance once.
    private mutating func pipeline(_ parts: Parts) -> Layer {
        var layers: [Layer] = []
        if chance(50) { layers.append(.timeout(.milliseconds(one(of: [200, 500])))) }
        if chance(30) { layers.append(.limiter(number(0...parts.limits - 1))) }
        layers.append(retry())
        if chance(70) { layers.append(.breaker(number(0...parts.breakers - 1))) }
        if chance(30) { layers.append(.bulkhead(number(0...parts.bulkheads - 1))) }
        if chance(70) { layers.append(.timeout(.milliseconds(one(of: [10, 20, 50, 100])))) }
        return .pipeline(layers)
    }

    // MARK: Operations

    private mutating func steps(_ parts: inout Parts, depth: Int) -> [Step] {
        var steps: [Step] = []
        if chance(30) { steps.append(wait()) }
        let hasNested = depth < 2 && chance(depth == 0 ? 45 : 20)
        // What lasts, such as a connection that is kept for hours, before it goes on.
        if hasNested, chance(8) { steps.append(.wait(.seconds(90))) }
        if hasNested, chance(50) { steps.append(nested(&parts, depth: depth)) }
        if steps.isEmpty || steps.allSatisfy(\.isWait), chance(25), !parts.isSent {
            // Nothing was sent, and the operation knows.
            steps.append(.fail(chance(60) ? .notSent : .throttled(retryAfter: time())))
            return steps
        }
        if chance(85) {
            steps.append(.send)
            parts.isSent = true
        }
        if chance(60) { steps.append(wait()) }
        if hasNested { steps.append(nested(&parts, depth: depth)) }
        switch number(0...9) {
        case 0...3: steps.append(.fail(one(of: [.plain, .plain, .unavailable, .declined, .cancellation])))
        case 4...5: steps.append(.hang)
        default: break
        }
        return steps
    }

    private mutating func wait() -> Step {
        switch number(0...19) {
        case 0...11: .wait(time())
        case 12...13: .waitOrStop(time())
        case 14...17: .block(time())
        case 18: .wait(.seconds(90))
        default: .stall(chance(50) ? time() : .seconds(40))
        }
    }

    private mutating func nested(_ parts: inout Parts, depth: Int) -> Step {
        switch number(0...9) {
        case 0...5: .call(call(&parts, depth: depth + 1))
        case 6...7: .attempt(call(&parts, depth: depth + 1))
        default: .spawn(after: chance(80) ? time() : .zero, call(&parts, depth: depth + 1))
        }
    }
}

extension Step {
    fileprivate var isWait: Bool {
        switch self {
        case .wait, .waitOrStop, .block, .stall: true
        case .hang, .send, .fail, .call, .attempt, .spawn: false
        }
    }
}

import CallSimulation
import Retry
import Testing

@Suite("Nesting")
struct NestingTests {
    @Test("the description of a nesting is its source")
    func source() {
        let nesting = Nesting(
            seed: 7,
            calls: [
                Call([.timeout(.milliseconds(100))], [.send, .hang]),
                Call(
                    [
                        .pipeline([.retry(.notIdempotent, attempts: 3, wait: .zero), .breaker(1)]),
                        .fallbackTo(Call([], [.wait(.seconds(90))])),
                    ],
                    [.fail(.throttled(retryAfter: .milliseconds(5))), .spawn(after: .zero, Call([.dedup(0)], []))]
                ),
            ],
            callers: [Caller(1, at: .milliseconds(5), limit: .seconds(1), leavesWithin: 9), Caller()],
            wellFrom: .seconds(2),
            breakers: [.countsFailures, .trips(after: 1, openDuration: .seconds(5), probes: 2)],
            limits: [LimitShape(1, per: .milliseconds(100))],
            outage: Outage(.loses, from: .zero, to: .seconds(2))
        )
        #expect(
            nesting.description == """
                Nesting(
                    seed: 7,
                    calls: [
                        Call([.timeout(.milliseconds(100))], [.send, .hang]),
                        Call(
                            [
                                .pipeline([.retry(.notIdempotent, attempts: 3, wait: .zero), .breaker(1)]),
                                .fallbackTo(Call([], [.wait(.seconds(90))])),
                            ],
                            [.fail(.throttled(retryAfter: .milliseconds(5))), .spawn(after: .zero, Call([.dedup(0)], []))]
                        ),
                    ],
                    callers: [Caller(1, at: .milliseconds(5), limit: .seconds(1), leavesWithin: 9), Caller()],
                    wellFrom: .seconds(2),
                    breakers: [.countsFailures, .trips(after: 1, openDuration: .seconds(5), probes: 2)],
                    limits: [LimitShape(1, per: .milliseconds(100))],
                    outage: Outage(.loses, from: .zero, to: .seconds(2))
                )
                """
        )
    }

    @Test("the same seed and number generate the same nesting, and others differ")
    func deterministic() {
        func nestings(_ seed: UInt64) -> [Nesting] {
            (0..<100).map { NestingGenerator.nesting(seed: seed, number: $0) }
        }
        #expect(nestings(1) == nestings(1))
        #expect(Set(nestings(1) + nestings(2)).count > 190)
    }

    @Test("as many consecutive numbers as pairs of layers generate every pair")
    func pairs() {
        func kind(_ layer: Layer) -> String { String("\(layer)".prefix { $0 != "(" }) }
        /// The layers of a call and of its nested calls.
        func layers(_ call: Call) -> [String] {
            var kinds = call.layers.map(kind)
            for step in call.steps {
                switch step {
                case .call(let call), .attempt(let call): kinds += layers(call)
                default: break
                }
            }
            return kinds
        }
        var pairs: Set<[String]> = []
        for number in 1000..<1000 + NestingGenerator.pairs {
            let layers = layers(NestingGenerator.nesting(seed: 5, number: number).calls[0])
            for (index, outer) in layers.enumerated() {
                for inner in layers[(index + 1)...] { pairs.insert([outer, inner]) }
            }
        }
        #expect(pairs.count == NestingGenerator.pairs)
    }

    @Test("all laws hold for two nestings of each pair")
    func laws() {
        for number in 0..<2 * NestingGenerator.pairs {
            let nesting = NestingGenerator.nesting(seed: 99, number: number)
            #expect(nesting.violations == [], "\(nesting)")
        }
    }

    @Test("a nesting shrinks to the parts that its condition needs")
    func shrinking() {
        let nesting = Nesting(
            seed: 3,
            calls: [
                Call([.fallback], [.send]),
                Call(
                    [.hedge(after: .milliseconds(5)), .pipeline([.timeout(.seconds(1)), .breaker(0)])],
                    [.wait(.milliseconds(5)), .call(Call([.limiter(0), .outbox], [.send, .hang])), .fail(.declined)]
                ),
            ],
            callers: [Caller(), Caller(1, at: .milliseconds(5), leaves: .milliseconds(50))],
            breakers: [.countsCalls],
            limits: [LimitShape(1, per: .seconds(1))]
        )
        let shrunk = nesting.shrunk { nesting in
            let source = nesting.description
            return source.contains(".timeout") && source.contains(".hang")
        }
        #expect(shrunk == Nesting(seed: 3, calls: [Call([.timeout(.seconds(1))], [.hang])]))
    }
}

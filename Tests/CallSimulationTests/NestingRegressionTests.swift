import CallSimulation
import Retry
import Testing

/// Nestings that once violated a law, as generated and shrunk.
@Suite("Nesting: regressions")
struct NestingRegressionTests {
    @Test("a rejection from inside does not cause a second send", arguments: 0..<20 as Range<UInt64>)
    func sentOnce(seed: UInt64) {
        holds(
            Nesting(
                seed: seed,
                calls: [
                    Call(
                        [.retry(.notIdempotent, attempts: 2, wait: .zero), .timeout(.milliseconds(20))],
                        [.send, .block(.milliseconds(20)), .call(Call([.timeout(.milliseconds(200))], []))]
                    )
                ]
            )
        )
        holds(
            Nesting(
                seed: seed,
                calls: [
                    Call(
                        [.external(.notIdempotent)],
                        [.send, .block(.milliseconds(100)), .call(Call([.timeout(.milliseconds(20))], []))]
                    )
                ]
            )
        )
        holds(
            Nesting(
                seed: seed,
                calls: [
                    Call(
                        [.limiter(0), .retry(.notIdempotent, attempts: 2, wait: .zero)],
                        [.send, .call(Call([.limiter(0)], []))]
                    )
                ],
                limits: [LimitShape(1, per: .milliseconds(10))]
            )
        )
        holds(
            Nesting(
                seed: seed,
                calls: [
                    Call(
                        [
                            .limiter(0),
                            .pipeline([.timeout(.milliseconds(200)), .retry(.idempotent, attempts: 3, wait: .zero)]),
                        ],
                        [.send, .call(Call([.limiter(0)], []))]
                    )
                ],
                limits: [LimitShape(1, per: .seconds(1))]
            )
        )
    }

    @Test(
        "a call that a deadline ends counts as a failure, and a call that its caller cancels does not",
        arguments: 0..<20 as Range<UInt64>
    )
    func countedFailures(seed: UInt64) {
        holds(
            Nesting(
                seed: seed,
                calls: [Call([.breaker(0)], [.send, .hang])],
                callers: [Caller(limit: .milliseconds(50))],
                breakers: [.countsFailures]
            )
        )
        holds(
            Nesting(
                seed: seed,
                calls: [
                    Call(
                        [.hedge(after: .milliseconds(100)), .breaker(0)],
                        [.block(.milliseconds(50)), .wait(.milliseconds(100))]
                    )
                ],
                callers: [Caller(limit: .milliseconds(50), leaves: .milliseconds(20))],
                breakers: [.countsFailures]
            )
        )
    }

    @Test("a breaker around itself closes after the dependency has recovered", arguments: 0..<20 as Range<UInt64>)
    func closing(seed: UInt64) {
        for layers in [[.breaker(0), .breaker(0)], [.external(.idempotent), .external(.idempotent)]] as [[Layer]] {
            holds(
                Nesting(
                    seed: seed,
                    calls: [Call(layers, [.fail(.plain)])],
                    breakers: [.trips(after: 1, openDuration: .seconds(1), probes: 1)]
                )
            )
        }
    }

    @Test("a task that outlives its call has none of the call's deadlines", arguments: 0..<20 as Range<UInt64>)
    func deadlines(seed: UInt64) {
        holds(
            Nesting(
                seed: seed,
                calls: [Call([.timeout(.milliseconds(100))], [.spawn(after: .zero, Call([], []))])]
            )
        )
        holds(
            Nesting(
                seed: seed,
                calls: [
                    Call(
                        [.outbox],
                        [
                            .call(
                                Call(
                                    [.movedTimeout(.milliseconds(20), after: .milliseconds(20), to: .milliseconds(10))],
                                    []
                                )
                            )
                        ]
                    )
                ],
                callers: [Caller(limit: .milliseconds(10), leavesWithin: 13)]
            )
        )
    }

    @Test("defaults and fallbacks answer at the deadline of an outer limit", arguments: 0..<20 as Range<UInt64>)
    func answers(seed: UInt64) {
        for layer in [.fallback, .timeoutOrDefault(.milliseconds(100)), .timeoutOrDefault(.milliseconds(10))] as [Layer]
        {
            holds(
                Nesting(seed: seed, calls: [Call([layer], [.hang])], callers: [Caller(limit: .milliseconds(10))])
            )
        }
        holds(
            Nesting(
                seed: seed,
                calls: [
                    Call(
                        [.hedge(after: .milliseconds(5))],
                        [.call(Call([.fallback], [.block(.milliseconds(50)), .hang]))]
                    )
                ],
                callers: [Caller(limit: .milliseconds(20), leaves: .milliseconds(10))]
            )
        )
    }

    @Test("the clock decides the expiry of limits that end simultaneously", arguments: 0..<20 as Range<UInt64>)
    func clock(seed: UInt64) {
        for inner in [.timeout(.milliseconds(10)), .abandoning(.milliseconds(10), grace: .zero)] as [Layer] {
            holds(Nesting(seed: seed, calls: [Call([.timeout(.milliseconds(10)), inner], [.hang])]))
        }
    }

    @Test("an inner retry makes all of its attempts inside a long attempt", arguments: 0..<5 as Range<UInt64>)
    func supervisor(seed: UInt64) {
        let inner = Call([.retry(.idempotent, attempts: 2, wait: .zero)], [.fail(.plain)])
        holds(
            Nesting(
                seed: seed,
                calls: [
                    Call(
                        [.retry(.idempotent, attempts: 2, wait: .zero)],
                        [.wait(.seconds(90)), .attempt(inner), .fail(.plain)]
                    )
                ]
            )
        )
    }

    @Test("a rejection after several attempts reports that they may have been sent", arguments: 0..<5 as Range<UInt64>)
    func rejectionsFromInside(seed: UInt64) {
        holds(
            Nesting(
                seed: seed,
                calls: [
                    Call(
                        [
                            .retry(.idempotent, attempts: 2, wait: .zero, rejectionWait: .seconds(1)),
                            .limiter(0),
                        ],
                        [.send, .call(Call([.limiter(0)], []))]
                    )
                ],
                limits: [LimitShape(1, per: .seconds(1))]
            )
        )
    }

    @Test("a rejection keeps its type through a retry", arguments: 0..<5 as Range<UInt64>)
    func rejection(seed: UInt64) {
        holds(
            Nesting(
                seed: seed,
                calls: [
                    Call(
                        [.timeout(.milliseconds(200)), .limiter(0), .retry(.idempotent, attempts: 2, wait: .zero)],
                        [.call(Call([.limiter(0)], []))]
                    )
                ],
                limits: [LimitShape(1, per: .seconds(1))]
            )
        )
    }

    @Test(
        "an unavailable store or a stalled process repeats no operation",
        arguments: 0..<20 as Range<UInt64>
    )
    func once(seed: UInt64) {
        holds(
            Nesting(
                seed: seed,
                calls: [Call([.dedup(1)], [.wait(.milliseconds(20))])],
                breakers: [.trips(after: 1, openDuration: .seconds(5), probes: 1)],
                outage: Outage(.rejects, from: .milliseconds(5), to: .milliseconds(2005))
            )
        )
        holds(
            Nesting(
                seed: seed,
                calls: [Call([.dedup(1)], [.stall(.seconds(40)), .hang])],
                callers: [Caller(), Caller()]
            )
        )
        holds(
            Nesting(
                seed: seed,
                calls: [Call([.outbox], [.stall(.seconds(40))])],
                callers: [Caller(), Caller()]
            )
        )
    }

    @Test("a stalled store delays no call past its deadline", arguments: 0..<20 as Range<UInt64>)
    func stuckStore(seed: UInt64) {
        for layer in [.limiter(0), .dedup(0)] as [Layer] {
            holds(
                Nesting(
                    seed: seed,
                    calls: [Call([.timeout(.milliseconds(50)), layer], [])],
                    callers: [Caller(at: .milliseconds(100))],
                    limits: [LimitShape(1, per: .milliseconds(10))],
                    outage: Outage(.stalls, from: .milliseconds(50), to: .milliseconds(2050))
                )
            )
        }
    }

    private func holds(_ nesting: Nesting, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(nesting.violations == [], "\(nesting)", sourceLocation: sourceLocation)
    }
}

import Reliability
import ReliabilityTesting
import TestSupport
import Testing

@Suite("Fallback: deadlines")
struct FallbackDeadlineTests {
    /// A case of an expired limit.
    enum Expiry: CaseIterable {
        case ownLimit, outerLimit, noTimeLeft, nestedLimit, retryWait, limiterWait, abandoned, ignoresCancellation,
            breakerOpen
    }

    @Test("a fallback answers in every case of an expired limit", arguments: Expiry.allCases)
    func answers(_ expiry: Expiry) throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let clock = simulation.clock
            let asked = ConcurrencyCounter()
            let last = LastGoodValue<Int>(maxAge: .seconds(3600), clock: clock)
            _ = try await Fallback(.stale(last)).run { 7 }
            let fallback = Fallback(
                .source {
                    asked.increment()
                    return 8
                },
                .stale(last)
            )
            let open = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(1)), clock: clock)
            try? await open.run { throw TestError() }
            let result = try await withTimeout(.milliseconds(100), clock: clock) {
                if expiry == .noTimeLeft { await simulation.sleepIgnoringCancellation(for: .milliseconds(100)) }
                return try await fallback.run {
                    switch expiry {
                    case .ownLimit, .noTimeLeft:
                        try await withTimeout(.seconds(1), clock: clock) { try await simulation.hang() }
                    case .outerLimit: try await simulation.hang()
                    case .nestedLimit:
                        await simulation.sleepIgnoringCancellation(for: .milliseconds(100))
                        try await withTimeout(.seconds(1), clock: clock) {}
                    case .retryWait:
                        let retry = RetryPolicy.Configuration(
                            .idempotent,
                            maxAttempts: 9,
                            backoff: .constant(.milliseconds(30))
                        )
                        try await RetryPolicy(retry, clock: clock).run { throw TestError() }
                    case .limiterWait: try await clock.sleep(for: .seconds(9))
                    case .abandoned:
                        try await withAbandoningTimeout(
                            .seconds(1),
                            grace: .zero,
                            abandoned: AbandonedOperations(maxCount: 1),
                            clock: clock
                        ) { await simulation.sleepIgnoringCancellation(for: .milliseconds(500)) }
                    case .ignoresCancellation:
                        await simulation.sleepIgnoringCancellation(for: .milliseconds(200))
                        try Task.checkCancellation()
                    case .breakerOpen:
                        await simulation.sleepIgnoringCancellation(for: .milliseconds(100))
                        try await open.run {}
                    }
                    return 0
                }
            }
            // A retry that gives up before the deadline leaves time to ask a source.
            let answer = expiry == .retryWait ? 8 : 7
            simulation.expect(result.isFallback && result.value == answer, "the fallback answered \(result)")
            simulation.expect(expiry == .retryWait || asked.value == 0, "a source was asked after the deadline")
        }
    }

    @Test("a cancelled caller gets no fallback, even if the call ends after the deadline")
    func cancelledCaller() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let answered = ConcurrencyCounter()
            let client = simulation.spawn {
                try await withTimeout(.milliseconds(100), clock: simulation.clock) {
                    _ = try await Fallback(.value(1)).run {
                        await simulation.sleepIgnoringCancellation(for: .milliseconds(300))
                        throw TestError()
                    }
                    answered.increment()
                }
            }
            try await simulation.clock.sleep(for: .milliseconds(50))
            client.cancel()
            await simulation.waitForClients()
            simulation.expect(answered.value == 0, "the fallback answered")
        }
    }
}

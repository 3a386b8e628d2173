import Bulkhead
import CircuitBreaker
import ReliabilityCore
import ReliabilityTesting
import Retry
import TestSupport
import Testing
import Timeout

@testable import Reliability

@Suite("ExternalCall with a bulkhead")
struct ExternalCallBulkheadTests {
    private func configuration(maxAttempts: Int = 2) -> ExternalCall.Configuration {
        .init(
            .idempotent,
            totalTimeout: .seconds(60),
            attemptTimeout: .seconds(5),
            maxAttempts: maxAttempts,
            backoff: .constant(.seconds(10)),
            breaker: .consecutiveFailures(1)
        )
    }

    @Test("the bulkhead is inside the breaker and outside the timeout of an attempt, and is part of the explanation")
    func order() {
        let call = ExternalCall(
            "payments",
            .externalAPI(.idempotent),
            bulkhead: BulkheadPolicy(.limit(20, maxWaiting: 100, maxWait: .milliseconds(50)))
        )
        #expect(call.layers.map(\.kind) == [.timeout, .retry, .circuitBreaker, .bulkhead, .timeout])
        #expect(call.explain().contains("4  bulkhead         at most 20 at the same time, 100 wait for up to 50 ms"))
        #expect(call.warnings.isEmpty)
    }

    @Test("the waits in the queue are part of the worst case")
    func worstCase() {
        let call = ExternalCall(
            "payments",
            .externalAPI(.idempotent),
            bulkhead: BulkheadPolicy(.limit(20, maxWaiting: 100, maxWait: .seconds(1)))
        )
        #expect(
            call.warnings == ["retry (2) can take 10.8 s, so not all of its 3 attempts fit into the 8 s of timeout (1)"]
        )
    }

    @Test("INV-38: a rejection by the bulkhead is never a failure of the breaker")
    func rejectionIsNoEvidence() async throws {
        let bulkhead = BulkheadPolicy(.limit(1))
        let call = ExternalCall("payments", configuration(maxAttempts: 1), bulkhead: bulkhead)
        let permit = try await bulkhead.acquire()
        for _ in 0..<5 {
            await #expect(throws: (any Error).self) { try await call.run { Issue.record("the operation ran") } }
        }
        #expect(call.breaker.state == .closed)
        permit.release()
        #expect(try await call.run { 1 } == 1)
    }

    @Test("no place is held during the wait between two attempts")
    func waitBetweenAttempts() async throws {
        let clock = ManualClock()
        let bulkhead = BulkheadPolicy(.limit(1), clock: clock)
        let policies = Pipeline("payments") {
            RetryPolicy(.init(.idempotent, maxAttempts: 2, backoff: .constant(.seconds(10))), clock: clock)
            bulkhead
        }
        let call = Task { try await policies.run { throw TestError() } }
        await clock.waitForSleepers(1)
        #expect(bulkhead.snapshot.running == 0)
        await clock.advance(by: .seconds(10), whenSleeping: 1)
        _ = await call.result
        #expect(bulkhead.snapshot.admitted == 2)
    }

    @Test("a bulkhead outside a retry is explained as a mistake")
    func wrongOrder() {
        let policies = Pipeline("payments") {
            BulkheadPolicy(.limit(1))
            RetryPolicy(.init(.idempotent, maxAttempts: 2, backoff: .constant(.seconds(1))))
        }
        #expect(
            policies.warnings.contains(
                "bulkhead (1) is outside retry (2): a call keeps its place during the waits between attempts"
            )
        )
    }
}

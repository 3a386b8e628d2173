import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing
import Timeout

private struct NotSent: ReliabilityError {
    let code: ErrorCode = "test.not_sent"
    let category = ErrorCategory.unavailable
    let message = ""
    let mayHaveBeenSent = false
}

@Suite("TimeoutError")
struct TimeoutErrorTests {
    private func error(_ thrown: any Error & Sendable) async -> TimeoutError? {
        let clock = ManualClock()
        return await #expect(throws: TimeoutError.self) {
            try await withTimeout(.seconds(1), clock: clock) {
                clock.advance(by: .seconds(1))
                throw thrown
            }
        }
    }

    @Test("the error carries the missed deadline and the call's own error")
    func contents() async {
        let error = await error(TestError())
        #expect(error?.deadline.isExpired == true)
        #expect(error?.underlyingError is TestError)
        #expect(error?.isAbandoned == false)
    }

    @Test("a call that failed may have been sent, unless its own error states otherwise")
    func mayHaveBeenSent() async {
        #expect(await error(TestError())?.mayHaveBeenSent == true)
        #expect(await error(CancellationError())?.mayHaveBeenSent == true)
        #expect(await error(NotSent())?.mayHaveBeenSent == false)
    }

    @Test("a call that did not start is a rejection and was not sent")
    func notBegun() async {
        let error = await #expect(throws: TimeoutError.self) { try await withTimeout(.zero) {} }
        #expect(error?.mayHaveBeenSent == false)
        #expect(error?.isRejection == true)
    }

    @Test("the trace of a call records a reached limit and a call that did not start")
    func traces() async {
        let clock = ManualClock()
        let trace = CallTrace(timeSource: TimeSource(clock))
        await CallTrace.$current.withValue(trace) {
            try? await withTimeout(.seconds(1), clock: clock) {
                clock.advance(by: .seconds(1))
                throw TestError()
            }
            try? await withTimeout(.zero, clock: clock) {}
        }
        let steps = trace.report(name: "test", outcome: .failure, error: nil).entries.map { entry in
            switch entry.step {
            case .timedOut(let limit): "timed out after \(limit)"
            case .rejected(let error): "rejected: \(error.code)"
            default: "other"
            }
        }
        #expect(steps == ["timed out after 1.0 seconds", "rejected: timeout.expired"])
    }
}

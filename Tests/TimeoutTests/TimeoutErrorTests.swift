import ReliabilityCore
import ReliabilityTesting
import Testing
import Timeout

private struct Failure: Error {}

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

    @Test("it carries the deadline that was missed and the call's own error")
    func carries() async {
        let error = await error(Failure())
        #expect(error?.deadline.isExpired == true)
        #expect(error?.underlyingError is Failure)
        #expect(error?.isAbandoned == false)
    }

    @Test("a call that failed may have been sent, unless its own error knows better")
    func mayHaveBeenSent() async {
        #expect(await error(Failure())?.mayHaveBeenSent == true)
        #expect(await error(CancellationError())?.mayHaveBeenSent == true)
        #expect(await error(NotSent())?.mayHaveBeenSent == false)
    }

    @Test("a call that was not begun was not sent, and is a rejection")
    func notBegun() async {
        let error = await #expect(throws: TimeoutError.self) { try await withTimeout(.zero) {} }
        #expect(error?.mayHaveBeenSent == false)
        #expect(error?.isRejection == true)
    }

    @Test("a record of the call tells that its limit was reached, and that a call was not begun")
    func traces() async {
        let clock = ManualClock()
        let trace = CallTrace(timeSource: TimeSource(clock))
        await CallTrace.$current.withValue(trace) {
            try? await withTimeout(.seconds(1), clock: clock) {
                clock.advance(by: .seconds(1))
                throw Failure()
            }
            try? await withTimeout(.zero, clock: clock) {}
        }
        let steps = trace.record(name: "test", outcome: .failure, error: nil).entries.map { entry in
            switch entry.step {
            case .timedOut(let limit): "timed out after \(limit)"
            case .refused(let error): "refused: \(error.code)"
            default: "other"
            }
        }
        #expect(steps == ["timed out after 1.0 seconds", "refused: timeout.expired"])
    }

    @Test("a policy is one layer, with its limit")
    func layers() {
        #expect(TimeoutPolicy(.seconds(2)).layers == [PolicyLayer(.timeout, "cancels after 2 s", limit: .seconds(2))])
    }
}

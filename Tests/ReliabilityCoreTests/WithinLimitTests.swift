import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCore

@Suite("withinLimit")
struct WithinLimitTests {
    let clock = ManualClock()
    var source: TimeSource { TimeSource(clock) }

    /// Suspends until the task is cancelled.
    private static func hang() async -> String {
        await suspendUntilCancelled()
        return "cancelled"
    }

    @Test("an operation that ends in time returns its result and leaves no timer")
    func inTime() async {
        let result = await withinLimit(.seconds(1), timeSource: source) { 7 }
        #expect(result == 7)
        let slow = Task { [source] in
            await withinLimit(.seconds(10), timeSource: source) {
                try? await source.sleep(for: .seconds(1))
                return 8
            }
        }
        await clock.waitForSleepers(2)
        clock.advance(by: .seconds(1))
        #expect(await slow.value == 8)
        while clock.sleeperCount > 0 { await Task.yield() }
    }

    @Test("a result of `nil` is not a timeout")
    func optional() async {
        let result: Int?? = await withinLimit(.seconds(1), timeSource: source) { () -> Int? in nil }
        #expect(result == .some(nil))
    }

    @Test("a late operation is cancelled, and the result is `nil`")
    func late() async {
        let events = EventRecorder<String>()
        let call = Task { [source] in
            await withinLimit(.seconds(1), timeSource: source) { events.record(await Self.hang()) }
        }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(1))
        #expect(await call.value == nil)
        #expect(await events.wait(for: 1) == ["cancelled"])
    }

    @Test("a blocked cancellation handler delays neither its caller nor other timers", .timeLimit(.minutes(30)))
    func blockingHandler() async {
        let gate = ThreadGate()
        let result: Void? = await withinLimit(.milliseconds(1), timeSource: .continuous) {
            await withTaskCancellationHandler {
                _ = await Self.hang()
            } onCancel: {
                // This timer never fires if the handler blocks the timer thread.
                _ = TimeSource.continuous.timer(at: TimeSource.continuous.now + 1_000_000) { gate.open() }
                gate.pass()
            }
        }
        #expect(result == nil)
    }

    @Test("an operation that ignores cancellation does not delay its caller")
    func ignoresCancellation() async {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        let events = EventRecorder<String>()
        let call = Task { [source] in
            await withinLimit(.seconds(1), timeSource: source) {
                // An unstructured task does not see the cancellation.
                await Task { for await _ in stream {} }.value
                events.record("late")
            }
        }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(1))
        #expect(await call.value == nil)
        #expect(events.events == [])
        continuation.finish()
        #expect(await events.wait(for: 1) == ["late"])
    }

    @Test("a cancelled caller gets the operation's result")
    func callerCancelled() async {
        let started = EventRecorder<Void>()
        let call = Task { [source] in
            await withinLimit(.seconds(1), timeSource: source) {
                started.record(())
                return await Self.hang()
            }
        }
        _ = await started.wait(for: 1)
        call.cancel()
        #expect(await call.value == "cancelled")
    }

    @Test("the operation of a cancelled caller is cancelled from its first line")
    func callerCancelledBefore() async {
        let call = Task { [source] in
            unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() }
            return await withinLimit(.seconds(1), timeSource: source) { Task.isCancelled }
        }
        #expect(await call.value == true)
    }

    @Test(
        "with no time left only an operation that does not suspend returns its result",
        arguments: [Duration.zero, .seconds(-1)]
    )
    func noTime(limit: Duration) async {
        #expect(await withinLimit(limit, timeSource: source) { 1 } == 1)
        let call = Task { [source] in await withinLimit(limit, timeSource: source) { await Self.hang() } }
        #expect(await call.value == nil)
    }

    @Test("the limit applies on the real clock")
    func realClock() async {
        #expect(await withinLimit(.seconds(3600), timeSource: .continuous) { 1 } == 1)
        #expect(await withinLimit(.milliseconds(1), timeSource: .continuous) { await Self.hang() } == nil)
    }

    @Test("every call ends if results and limits coincide")
    func races() async {
        let answers = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<1000 {
                group.addTask { [source] in
                    let limit = Duration.milliseconds(5)
                    let answer = await withinLimit(limit, timeSource: source) {
                        try? await source.sleep(for: .milliseconds(number % 3 + 4))
                        return number
                    }
                    return answer == nil || answer == number
                }
            }
            group.addTask {
                await clock.waitForSleepers(500)
                return true
            }
            var isRight = true
            _ = await group.next()
            let mover = Task {
                while !Task.isCancelled {
                    clock.advance(by: .milliseconds(1))
                    await Task.yield()
                }
            }
            for await answer in group { isRight = isRight && answer }
            mover.cancel()
            return isRight
        }
        #expect(answers)
    }

    @Test("the operation sees the caller's task-local values")
    func taskLocals() async throws {
        let id = try #require(CorrelationID("request-1"))
        let seen = await withCorrelationID(id) {
            await withinLimit(.seconds(1), timeSource: source) { CorrelationID.current }
        }
        #expect(seen == .some(id))
    }
}

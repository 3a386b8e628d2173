import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing
import Timeout

@Suite("TimeoutPolicy")
struct TimeoutPolicyTests {
    @Test("an observer receives an event for a call that expired")
    func observes() async {
        let clock = ManualClock()
        let events = EventRecorder<TimeoutEvent>()
        let policy = TimeoutPolicy(.seconds(1), clock: clock, observer: events.record)
        let task = Task { try await policy.run { try await hang() } }
        await clock.advanceToNextSleeper()
        await #expect(throws: TimeoutError.self) { try await task.value }
        #expect(await events.wait(for: 1).count == 1)
    }

    @Test("a limit that is not positive is rejected at construction")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = TimeoutPolicy(.limit(.zero)) }
        await #expect(processExitsWith: .failure) { _ = TimeoutPolicy(.seconds(-1)) }
    }

    @Test("the named limits have their documented values")
    func named() {
        #expect(TimeoutPolicy.Configuration.database.limit == .seconds(10))
        #expect(TimeoutPolicy.Configuration.externalAPI.limit == .seconds(8))
        #expect(TimeoutPolicy.Configuration.cache.limit == .seconds(2))
        #expect(TimeoutPolicy.Configuration.fileUpload.limit == .seconds(30))
        #expect(TimeoutPolicy.Configuration.email.limit == .seconds(10))
        #expect(TimeoutPolicy.Configuration.webhook.limit == .seconds(15))
    }

    @Test("a policy has one layer with its limit")
    func layers() {
        #expect(TimeoutPolicy(.seconds(2)).layers == [PolicyLayer(.timeout, "cancels after 2 s", limit: .seconds(2))])
    }
}

import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@Suite("ChaosSwitch")
struct ChaosSwitchTests {
    private let clock = ManualClock()

    @Test("faults occur only while the switch is armed")
    func armed() async throws {
        let chaos = ChaosSwitch(clock: clock)
        let policy = ChaosPolicy(.failure(TestError()), rate: 1, when: chaos)
        func fails() async -> Bool {
            do { try await policy.run {} } catch { return true }
            return false
        }
        #expect(await !fails())
        chaos.arm(for: .seconds(10))
        #expect(chaos.remaining == .seconds(10))
        #expect(await fails())
        clock.advance(by: .seconds(10))
        #expect(!chaos.isArmed)
        #expect(await !fails())
        chaos.arm(for: .seconds(10))
        chaos.disarm()
        #expect(await !fails())
        #expect(policy.injected == 1)
    }

    @Test("a duration of zero or beyond a day is rejected")
    func invalidDurations() async {
        await #expect(processExitsWith: .failure) { ChaosSwitch().arm(for: .seconds(86_401)) }
        await #expect(processExitsWith: .failure) { ChaosSwitch().arm(for: .zero) }
    }
}

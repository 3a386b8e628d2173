import ReliabilityCore
import ReliabilityTesting
import Testing

@Suite("ChaosResult")
struct ChaosResultTests {
    private let clock = ManualClock()

    @Test("a wrong result is made from the right result")
    func wrongResult() async throws {
        let chaos = ChaosSwitch(clock: clock)
        let wrong = ChaosResult<Int>(rate: 1, when: chaos) { -$0 }
        #expect(try await wrong.run { 7 } == 7)
        chaos.arm(for: .seconds(1))
        #expect(try await wrong.run { 7 } == -7)
        #expect(wrong.injected == 1)
    }
}

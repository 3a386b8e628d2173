import CacheSimulation
import ReliabilityTesting
import Testing

@Suite("TieredCache: two admins edit one quote while readers load")
struct TwoAdminsTests {
    @Test("C1, C4, C5, C8, C23, C45: no read receives a value from before an edit that it must see, in any schedule")
    func everySchedule() throws {
        try Simulation.run(seeds: 0..<60) { try await TwoAdmins($0).run() }
    }
}

import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation
import Testing

@Suite("CrashExplorer and CrashSeed")
struct CrashExplorerTests {
    @Test("crashes in a small workload cause no violation", arguments: [0, 1, 40, 100, 700, 1500])
    func smallWorkloads(number: Int) throws {
        var explorer = CrashExplorer(workload: number, quota: 12)
        try explorer.explore()
        #expect(explorer.counts.states > 0)
    }

    @Test("every workload has a number")
    func workloads() {
        let count = Workload.count(upTo: 2)
        #expect(Set((0..<count).map { Workload(number: $0) }).count == count)
        #expect(Workload(number: count - 1).steps.count == 2)
        #expect(Workload(number: count).steps.count == 3)
    }

    @Test("crashes in a random workload cause no violation")
    func randomWorkloads() throws {
        var seed = CrashSeed(1)
        try seed.run()
        #expect(seed.counts.states > 0)
    }
}

import Bulkhead
import ReliabilityCore
import ReliabilityTesting
import Testing

@Suite("Bulkhead: fairness")
struct BulkheadFairnessTests {
    @Test(
        "a tenant below its share is served although another tenant sends ten times the calls that can be served",
        arguments: [.firstInFirstOut, .adaptiveLIFO()] as [BulkheadPolicy.Configuration.Order],
        [20, 200]
    )
    func share(order: BulkheadPolicy.Configuration.Order, maxWaiting: Int) throws {
        try Simulation.run(seeds: 1..<2) { simulation in
            let clock = simulation.clock
            var random = simulation.generator()
            // 100 calls a second.
            let bulkhead = BulkheadPolicy(
                .init(.fixed(10), maxWaiting: maxWaiting, maxWait: .seconds(1), order: order),
                clock: clock
            )
            for number in 0..<2000 {
                try await clock.sleep(for: .microseconds(Int.random(in: 1...2000, using: &random)))
                let isSmall = number % 34 == 0
                simulation.spawn {
                    do {
                        try await bulkhead.run(tenant: isSmall ? "small" : "large") {
                            try await clock.sleep(for: .milliseconds(100))
                        }
                    } catch {
                        #expect(!isSmall, "\(error)")
                    }
                }
            }
            await simulation.waitForClients()
            #expect(bulkhead.snapshot.rejected() > 1000)
        }
    }
}

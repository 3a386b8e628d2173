import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import TestSupport
import Testing

@testable import Dedup

@Suite("Deduplicator deadlines")
struct DeduplicatorDeadlineTests {
    private static func call(_ clock: ManualClock, within limit: Duration) -> DeadlineScope {
        let timeSource = TimeSource(clock)
        return DeadlineScope(Deadline(instant: timeSource.instant(after: limit), timeSource: timeSource))
    }

    @Test(
        "the deadline ends the wait for a claim, and no run or claim remains",
        arguments: [StoreFault.hang, .hangAfterApply, .slow(.milliseconds(300))],
        [true, false]
    )
    func claim(fault: StoreFault, isOpen: Bool) throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let memory = InMemoryStore(clock: clock)
            let store = FaultInjectingStore(memory, clock: clock)
            let dedup = Deduplicator(
                .replay(retention: nil),
                keyspace: "dedup",
                store: store,
                storeFailure: isOpen ? .failOpen() : .failClosed(),
                clock: clock
            )
            store.outage = fault
            let start = clock.now
            do {
                _ = try await DeadlineScope.$innermost.withValue(Self.call(clock, within: .milliseconds(50))) {
                    try await dedup.run("charge", ["ada", "k1"]) { _ in simulation.expect(false, "it ran") }
                }
                simulation.expect(false, "it says that it ran")
            } catch let error as DedupError {
                simulation.expect(error.reason == .storeUnavailable, "\(error)")
            }
            let waited = start.duration(to: clock.now)
            simulation.expect(waited == .milliseconds(50), "it waited for \(waited)")
            store.outage = nil
            try await clock.sleep(for: .seconds(10))
            let result = try await dedup.run("charge", ["ada", "k1"]) { "\($0.isTakeover)" }
            simulation.expect(!result.isReplay && result.value == "false", "a claim was left behind")
        }
    }

    @Test(
        "the deadline ends the wait for the result's write, and the write continues",
        arguments: [StoreFault.hang, .failBefore, .slow(.milliseconds(300))]
    )
    func result(fault: StoreFault) throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let fixture = SimulatedDedupFixture(simulation)
            let start = fixture.clock.now
            let limit = Duration.milliseconds(simulation.random(in: 400...600))
            let first = simulation.spawn {
                try await DeadlineScope.$innermost.withValue(Self.call(fixture.clock, within: limit)) {
                    try await fixture.pay(taking: .milliseconds(500))
                }
            }
            try await fixture.clock.sleep(for: .milliseconds(200))
            fixture.store.outage = fault
            let result = try await first.value
            simulation.expect(result.value == "receipt", "the first caller lost its result")
            let waited = start.duration(to: fixture.clock.now)
            simulation.expect(waited == max(limit, .milliseconds(500)), "it took \(waited)")
            try await fixture.clock.sleep(for: .seconds(4))
            fixture.store.outage = nil
            try await fixture.clock.sleep(for: .seconds(31))
            simulation.expect(try await fixture.pay().isReplay, "the second call ran")
            simulation.expect(fixture.runs.value == 1, "it ran \(fixture.runs.value) times")
        }
    }
}

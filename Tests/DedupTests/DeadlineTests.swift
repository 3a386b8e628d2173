import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import Dedup

@Suite("The deadline of a deduplicator's caller")
struct DedupDeadlineTests {
    private static func call(_ clock: ManualClock, within limit: Duration) -> DeadlineScope {
        let timeSource = TimeSource(clock)
        return DeadlineScope(Deadline(instant: timeSource.instant(after: limit), timeSource: timeSource))
    }

    @Test(
        "cuts the wait for a claim, nothing runs, and nothing is left behind",
        arguments: [StoreFault.hang, .hangAfterApply, .slow(.milliseconds(300))],
        [true, false]
    )
    func claim(fault: StoreFault, isOpen: Bool) throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let memory = InMemoryStore(clock: clock)
            let store = FaultInjectingStore(memory, clock: clock)
            let dedup = Deduplicator(
                DedupConfiguration(.replay(retention: nil), storeFailure: isOpen ? .open() : .closed()),
                store: store,
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
        "cuts the wait for the writing of a result, and not the writing",
        arguments: [StoreFault.hang, .failBefore, .slow(.milliseconds(300))]
    )
    func result(fault: StoreFault) throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let bench = KeptResultTests.Bench(simulation)
            let start = bench.clock.now
            let limit = Duration.milliseconds(simulation.random(in: 400...600))
            let first = simulation.spawn {
                try await DeadlineScope.$innermost.withValue(Self.call(bench.clock, within: limit)) {
                    try await bench.pay(taking: .milliseconds(500))
                }
            }
            try await bench.clock.sleep(for: .milliseconds(200))
            bench.store.outage = fault
            let result = try await first.value
            simulation.expect(result.value == "receipt", "the first caller lost its result")
            let waited = start.duration(to: bench.clock.now)
            simulation.expect(waited == max(limit, .milliseconds(500)), "it took \(waited)")
            try await bench.clock.sleep(for: .seconds(4))
            bench.store.outage = nil
            try await bench.clock.sleep(for: .seconds(31))
            simulation.expect(try await bench.pay().isReplay, "the second call ran")
            simulation.expect(bench.runs.value == 1, "it ran \(bench.runs.value) times")
        }
    }
}

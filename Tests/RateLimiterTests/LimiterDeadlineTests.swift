import RateLimiter
import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@Suite("Limiter deadlines")
struct LimiterDeadlineTests {
    @Test("the deadline ends the wait for the store and does not count against the store", arguments: [true, false])
    func limitsTheWait(isOpen: Bool) throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
            let events = EventRecorder<LimiterEvent>()
            let limiter = Limiter(
                .fixedWindow(100, per: .seconds(60)),
                keyspace: "test",
                store: store,
                storeFailure: isOpen ? .failOpen() : .failClosed(),
                clock: clock,
                observer: events.record
            )
            store.outage = .slow(.milliseconds(300))
            let timeSource = TimeSource(clock)
            let start = clock.now
            for _ in 0..<10 {
                let deadline = Deadline(instant: timeSource.instant(after: .milliseconds(50)), timeSource: timeSource)
                let decision = await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                    try? await limiter.tryConsume(["user"])
                }
                simulation.expect(decision?.failedOpen == (isOpen ? true : nil), "\(String(describing: decision))")
            }
            let waited = start.duration(to: clock.now)
            simulation.expect(waited == .milliseconds(500), "ten calls waited for \(waited)")
            // The store works and is called.
            simulation.expect(try await limiter.tryConsume(["user"]).failedOpen == false, "the store was not asked")
            simulation.expect(events.events.isEmpty, "\(events.events)")
        }
    }
}

import ReliabilityStore
import ReliabilityTesting
import Testing

@Suite("InMemoryStore conforms")
struct InMemoryStoreConformanceTests {
    private static let conformance = StoreConformance { clock in InMemoryStore(clock: clock) }

    @Test(arguments: conformance.applicableChecks)
    func conforms(to check: StoreConformance.Check) async throws { try await Self.conformance.run(check) }

    @Test("a small one too", arguments: ["limits.capacity", "records.capacity"])
    func bounded(check: String) async throws {
        try await StoreConformance { clock in InMemoryStore(maximumEntries: 100, clock: clock) }.run(check)
        try await StoreConformance { clock in InMemoryStore(maximumBytes: 10_000, clock: clock) }.run(check)
    }

    @Test("on a clock that cannot be stopped")
    func inexactTime() async {
        let conformance = StoreConformance(
            advance: { [clock] in clock.advance(by: $0 + .microseconds(300)) },
            makeStore: { [clock] _ in InMemoryStore(clock: clock) }
        )
        #expect(await conformance.run(conformance.applicableChecks).map(\.description) == [])
    }
    private let clock = ManualClock()

    @Test("behind a store that injects no faults")
    func behindFaults() async {
        let conformance = StoreConformance { clock in FaultInjectingStore(InMemoryStore(clock: clock), clock: clock) }
        #expect(await conformance.run(conformance.applicableChecks).map(\.description) == [])
    }
}

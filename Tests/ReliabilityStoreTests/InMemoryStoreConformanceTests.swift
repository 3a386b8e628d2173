import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@Suite("InMemoryStore conformance")
struct InMemoryStoreConformanceTests {
    private static let conformance = StoreConformance { clock in InMemoryStore(clock: clock) }

    @Test("the store passes every applicable check", arguments: conformance.applicableChecks)
    func conforms(to check: StoreConformance.Check) async throws { try await Self.conformance.run(check) }

    @Test("a small store passes the capacity checks", arguments: ["limits.capacity", "records.capacity"])
    func bounded(check: String) async throws {
        try await StoreConformance { clock in InMemoryStore(InMemoryStore.Configuration(maxEntries: 100), clock: clock)
        }.run(check)
        try await StoreConformance { clock in InMemoryStore(InMemoryStore.Configuration(maxBytes: 10_000), clock: clock)
        }.run(check)
    }

    @Test("a store with an inexact clock passes every applicable check")
    func inexactTime() async {
        let conformance = StoreConformance(
            advance: { [clock] in clock.advance(by: $0 + .microseconds(300)) },
            makeStore: { [clock] _ in InMemoryStore(clock: clock) }
        )
        #expect(await conformance.run(conformance.applicableChecks).map(\.description) == [])
    }
    private let clock = ManualClock()

    @Test("a store behind a FaultInjectingStore without faults passes every applicable check")
    func behindFaults() async {
        let conformance = StoreConformance { clock in FaultInjectingStore(InMemoryStore(clock: clock), clock: clock) }
        #expect(await conformance.run(conformance.applicableChecks).map(\.description) == [])
    }
}

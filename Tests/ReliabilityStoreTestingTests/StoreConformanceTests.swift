import Foundation
import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@Suite("StoreConformance")
struct StoreConformanceTests {
    private static let shared = StoreConformance.naive()
    private static let owned = StoreConformance.naive(isOwned: true)

    @Test("a second implementation passes every check", arguments: shared.applicableChecks)
    func passes(check: StoreConformance.Check) async throws { try await Self.shared.run(check) }

    @Test(
        "a store with a single owner passes the checks for reopening and crashes",
        arguments: owned.applicableChecks.filter { !$0.needs.isDisjoint(with: [.reopening, .crashing]) }
    )
    func passesWithAnOwner(check: StoreConformance.Check) async throws { try await Self.owned.run(check) }

    @Test("every mutant fails its checks", arguments: Mutant.allCases)
    func finds(mutant: Mutant) async {
        let conformance = StoreConformance.naive(mutant, seeds: 3)
        for id in mutant.checks {
            let violations = await conformance.run(StoreConformance.checks.filter { $0.id == id })
            #expect(violations.map(\.check.id) == [id], "\(mutant) is not found by \(id)")
        }
    }

    @Test("every check finds at least one mutant")
    func everyCheckCanFail() {
        let found = Set(Mutant.allCases.flatMap(\.checks))
        #expect(Set(StoreConformance.checks.map(\.id)).symmetricDifference(found) == [])
    }

    /// `RELIABILITY_CONFORMANCE_TABLE=1 swift test --filter mistakeTable` prints which checks find which mutant, and
    /// takes a few minutes, because every mutant runs every check.
    @Test(
        "the table of mutants and the checks that find them",
        .enabled(if: ProcessInfo.processInfo.environment["RELIABILITY_CONFORMANCE_TABLE"] != nil)
    )
    func mistakeTable() async {
        for mutant in Mutant.allCases {
            let conformance = StoreConformance.naive(mutant, seeds: 3)
            let found = await conformance.run(conformance.applicableChecks).map(\.check.id)
            let expected = mutant.checks
            let others = found.filter { !expected.contains($0) }
            print("\(mutant): \(expected.joined(separator: ", "))", terminator: "")
            print(others.isEmpty ? "" : "; also \(others.joined(separator: ", "))")
            #expect(Set(expected).subtracting(found) == [], "\(mutant)")
        }
        print("\(Mutant.allCases.count) mistakes, \(StoreConformance.checks.count) checks, every mutant found")
    }

    @Test("a store with an inexact clock passes, with advances of at most 10 s")
    func inexactTime() async {
        let clock = ManualClock()
        let longest = Lock(Duration.zero)
        let conformance = StoreConformance(
            of: NaiveStore.self,
            advance: { duration in
                longest.withLock { $0 = max($0, duration) }
                clock.advance(by: duration + .microseconds(300))
            },
            reopen: { store, _ in await NaiveStore(after: store, crashed: false) },
            crash: { store, _ in await NaiveStore(after: store, crashed: true) },
            secondClient: { store, _ in NaiveStore(beside: store, clock: clock) },
            loseAnswer: { store, _ in await store.server.loseAnswer() },
            makeStore: { _ in NaiveStore(clock: clock) }
        )
        #expect(await conformance.run(conformance.applicableChecks).map(\.description) == [])
        #expect(longest.withLock { $0 } == .seconds(10))
        let left = StoreConformance.checks.filter { check in
            !conformance.applicableChecks.contains { $0.id == check.id }
        }
        #expect(left.allSatisfy { $0.needs.contains(.exactTime) })
    }

    @Test("a store with slow openings passes")
    func slowOpening() async {
        let clock = ManualClock()
        let conformance = StoreConformance(
            of: NaiveStore.self,
            seeds: 1,
            advance: { clock.advance(by: $0 + .microseconds(300)) },
            reopen: { store, _ in
                clock.advance(by: .seconds(8))
                return await NaiveStore(after: store, crashed: false)
            },
            crash: { store, _ in
                clock.advance(by: .seconds(8))
                return await NaiveStore(after: store, crashed: true)
            },
            makeStore: { _ in NaiveStore(clock: clock) }
        )
        let checks = conformance.applicableChecks.filter { !$0.needs.isDisjoint(with: [.reopening, .crashing]) }
        #expect(await conformance.run(checks).map(\.description) == [])
    }

    @Test("a small store with slow calls passes")
    func slowCalls() async {
        let clock = ManualClock()
        let conformance = StoreConformance(
            seeds: 1,
            advance: { clock.advance(by: $0) },
            makeStore: { _ in
                SlowStore(store: InMemoryStore(InMemoryStore.Configuration(maxEntries: 450), clock: clock)) {
                    clock.advance(by: .milliseconds(15))
                }
            }
        )
        let checks = conformance.applicableChecks.filter { !$0.id.hasPrefix("concurrency.") }
        #expect(await conformance.run(checks).map(\.description) == [])
    }

    @Test("every check has a unique name")
    func names() {
        #expect(Set(StoreConformance.checks.map(\.id)).count == StoreConformance.checks.count)
    }

    @Test("an unsupported check is not applicable, and running it is a violation")
    func needs() async {
        let conformance = StoreConformance(
            advance: { _ in },
            makeStore: { KeysAndValues(store: InMemoryStore(clock: $0)) }
        )
        #expect(conformance.applicableChecks.allSatisfy { $0.needs.isEmpty })
        let others = StoreConformance.checks.filter { !$0.needs.isEmpty }
        let violations = await conformance.run(others)
        #expect(violations.map(\.check.id) == others.map(\.id))
        #expect(Set(others.flatMap(\.needs)) == Set(StoreConformance.Need.allCases))
        for (check, violation) in zip(others, violations) {
            for need in check.needs { #expect(violation.description.contains(need.description)) }
        }
    }

    @Test("a store without records passes the checks for keys and values")
    func withoutRecords() async {
        let conformance = StoreConformance { clock in KeysAndValues(store: InMemoryStore(clock: clock)) }
        #expect(await conformance.run(conformance.applicableChecks).map(\.description) == [])
        #expect(!conformance.applicableChecks.contains { $0.needs.contains(.records) })
    }

    @Test("a store that loses answers passes if it reports an unknown outcome", arguments: [true, false])
    func lostAnswers(isApplied: Bool) async {
        let conformance = StoreConformance(
            loseAnswer: { store, operation in
                store.failNext(operation, with: isApplied ? .unknownOutcomeAfterApply : .unknownOutcomeBeforeApply)
            },
            makeStore: { clock in FaultInjectingStore(InMemoryStore(clock: clock), clock: clock) }
        )
        let checks = conformance.applicableChecks.filter { $0.needs.contains(.lostAnswers) }
        #expect(checks.count == 3)
        #expect(await conformance.run(checks).map(\.description) == [])
    }

    @Test("a violation states the check, the finding and the call that repeats it")
    func violationText() async throws {
        let conformance = StoreConformance.naive(.touchAddsToTheEnd)
        let check = try #require(StoreConformance.checks.first { $0.id == "entries.history" })
        let violation = try #require(await conformance.run([check]).first)
        let seed = try #require(violation.seed)
        let lines = violation.description.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        #expect(lines.first == check.description)
        #expect(lines.dropFirst().first == "found: \(violation.explanation)")
        #expect(lines.last == "alone: try await conformance.run(\"entries.history\", seed: \(seed))")

        let again = await #expect(throws: ConformanceViolation.self) {
            try await conformance.run("entries.history", seed: seed)
        }
        #expect(again?.explanation == violation.explanation)
        let plain = await #expect(throws: ConformanceViolation.self) { try await conformance.run("expiry.touch") }
        #expect(plain?.description.hasSuffix("conformance.run(\"expiry.touch\")") == true)
    }

    @Test("every store and client is closed after its check")
    func closes() async {
        let made = ConcurrencyCounter()
        let closed = ConcurrencyCounter()
        let conformance = StoreConformance(
            secondClient: { store, clock in
                made.increment()
                return NaiveStore(beside: store, clock: clock)
            },
            close: { _ in closed.increment() },
            makeStore: { clock in
                made.increment()
                return NaiveStore(.readsThroughACache, clock: clock)
            }
        )
        let checks = conformance.applicableChecks.filter { $0.id.hasPrefix("clients.") }
        let violations = await conformance.run(checks)
        #expect(made.value == 2 * checks.count)
        #expect(closed.value == made.value)
        #expect(!violations.isEmpty)
    }

    @Test("a store that cannot be made is a violation")
    func cannotBeMade() async {
        let conformance = StoreConformance { _ -> InMemoryStore in throw StoreError(.unavailable, "no server") }
        let checks = Array(StoreConformance.checks.prefix(2))
        let violations = await conformance.run(checks)
        #expect(violations.map(\.check.id) == checks.map(\.id))
        #expect(violations.allSatisfy { $0.description.contains("store.unavailable: no server") })
    }

    @Test("an unknown check name is rejected")
    func unknownName() async {
        await #expect(processExitsWith: .failure) { try await StoreConformance.naive().run("expiry.bounday") }
    }
}

/// A store without records.
private struct KeysAndValues: KeyValueStore {
    let store: InMemoryStore
    var capabilities: StoreCapabilities { store.capabilities }

    func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] { try await store.get(keys) }
    func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult { try await store.commit(writes) }
    func update(_ updates: [(key: StoreKey, update: AtomicUpdate)]) async throws(StoreError) -> UpdateResult {
        try await store.update(updates)
    }
    func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try await store.scan(prefix, after: after, limit: limit)
    }
}

/// A store with calls that take time.
private struct SlowStore: KeyValueStore {
    let store: InMemoryStore
    let wait: @Sendable () -> Void
    var capabilities: StoreCapabilities { store.capabilities }

    func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        wait()
        return try await store.get(keys)
    }

    func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        wait()
        return try await store.commit(writes)
    }

    func update(_ updates: [(key: StoreKey, update: AtomicUpdate)]) async throws(StoreError) -> UpdateResult {
        wait()
        return try await store.update(updates)
    }

    func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        wait()
        return try await store.scan(prefix, after: after, limit: limit)
    }
}

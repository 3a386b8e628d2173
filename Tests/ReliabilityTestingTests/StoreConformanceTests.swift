import ReliabilityStore
import ReliabilityTesting
import Testing

/// What a ``NaiveStore`` can get wrong.
///
/// Most of these are in stores that people use.
enum Mistake: CaseIterable {
    case emptyIsMissing, keysByUnicode, versionsPerKey, touchMakesVersion
    case anyVersionOfNothing, partlyCommitted, deleteReturnsVersion, keysTwice, cancelledTasksWrite
    case aliveAtTheEnd, wholeSeconds, expiredHasItsVersion, scanShowsExpired, expiredBlocksCreate
    case neverMeansKeep, touchAddsToTheEnd, overflow
    case coarseClock, partlyUpdated, updatesLiveForEver
    case scanBySpace, afterIncludes, offsets
    case limitTooSmall, noLimits, evicts, expiredTakesRoom
    case checksThenWaits, updatesThenWaits, tornReads, staleReplica
    case enqueueReplaces, enqueuesOnConflict, leasesAreNotDue, waitingIsDead, pagesByText
    case claimsInAnyOrder, noLease, claimKeepsToken, attemptsOfRetries, claimsThenWaits
    case doneTwice, settlesByID, retryKeepsToken, extendsTheLease, redriveKeepsAttempts, staleStopsTheRest
    case settlesThenWaits

    /// The checks that must find it.
    var checks: [String] {
        switch self {
        case .emptyIsMissing: ["entries.roundTrip", "entries.history"]
        case .keysByUnicode: ["entries.keysByBytes"]
        case .versionsPerKey: ["versions.increase", "entries.history"]
        case .touchMakesVersion: ["versions.touch", "entries.history"]
        case .anyVersionOfNothing: ["commit.preconditions", "entries.history"]
        case .partlyCommitted: ["commit.atomic", "entries.history"]
        case .deleteReturnsVersion: ["commit.versions", "commit.preconditions"]
        case .keysTwice: ["commit.duplicateKey"]
        case .cancelledTasksWrite: ["commit.cancelled", "records.cancelled"]
        case .aliveAtTheEnd: ["expiry.boundary"]
        case .wholeSeconds: ["expiry.subSecond", "expiry.boundary", "claim.boundary"]
        case .expiredHasItsVersion: ["expiry.absent", "commit.preconditions"]
        case .scanShowsExpired: ["expiry.absent", "entries.history"]
        case .expiredBlocksCreate: ["expiry.create", "commit.preconditions"]
        case .neverMeansKeep: ["expiry.keep", "entries.history"]
        case .touchAddsToTheEnd: ["expiry.touch", "entries.history"]
        case .overflow: ["expiry.extremes"]
        case .coarseClock: ["updates.parity"]
        case .partlyUpdated: ["updates.allOrNothing", "updates.parity"]
        case .updatesLiveForEver: ["updates.entries"]
        case .scanBySpace: ["scan.prefix"]
        case .afterIncludes: ["scan.pages"]
        case .offsets: ["scan.whileWriting"]
        case .limitTooSmall: ["limits.atLimit"]
        case .noLimits: ["limits.refused", "records.limits"]
        case .evicts: ["limits.capacity"]
        case .expiredTakesRoom: ["limits.capacity"]
        case .checksThenWaits: ["concurrency.createOnce", "concurrency.compareAndSet"]
        case .updatesThenWaits: ["concurrency.updates"]
        case .tornReads: ["concurrency.snapshot"]
        case .staleReplica: ["concurrency.linearizable"]
        case .enqueueReplaces: ["records.idempotent", "records.history"]
        case .enqueuesOnConflict: ["records.commit"]
        case .leasesAreNotDue: ["records.nextDue", "records.history"]
        case .waitingIsDead: ["records.counts", "records.history"]
        case .pagesByText: ["records.page"]
        case .claimsInAnyOrder: ["claim.order", "records.history"]
        case .noLease: ["claim.exclusive", "claim.boundary", "claim.manyClaimers"]
        case .claimKeepsToken: ["claim.attempts", "settle.stale"]
        case .attemptsOfRetries: ["claim.attempts", "records.history"]
        case .claimsThenWaits: ["claim.manyClaimers"]
        case .doneTwice: ["settle.done"]
        case .settlesByID: ["settle.stale", "settle.done"]
        case .retryKeepsToken: ["settle.retry"]
        case .extendsTheLease: ["settle.extend"]
        case .redriveKeepsAttempts: ["settle.dead"]
        case .staleStopsTheRest: ["settle.several"]
        case .settlesThenWaits: ["settle.race"]
        }
    }
}

@Suite("StoreConformance")
struct StoreConformanceTests {
    @Test("a second, simple store passes every check", arguments: StoreConformance.checks)
    func passes(check: StoreConformance.Check) async throws {
        try await StoreConformance { NaiveStore(clock: $0) }.run(check)
    }

    @Test("every mistake is found by the checks that must find it", arguments: Mistake.allCases)
    func finds(mistake: Mistake) async {
        for id in mistake.checks {
            let checks = StoreConformance.checks.filter { $0.id == id }
            let violations = await StoreConformance { NaiveStore(mistake, clock: $0) }.run(checks)
            #expect(violations.map(\.check.id) == [id], "\(mistake) is not found by \(id)")
        }
    }

    @Test("for every check there is a mistake that it must find")
    func everyCheckCanFail() {
        let found = Set(Mistake.allCases.flatMap(\.checks))
        #expect(Set(StoreConformance.checks.map(\.id)).symmetricDifference(found) == [])
    }

    @Test("every check has a name of its own")
    func names() {
        #expect(Set(StoreConformance.checks.map(\.id)).count == StoreConformance.checks.count)
    }

    @Test("a store without records passes the checks for keys and values, and violates the others")
    func withoutRecords() async {
        let conformance = StoreConformance { clock in KeysAndValues(store: InMemoryStore(clock: clock)) }
        #expect(await conformance.run(StoreConformance.keyValueChecks).map(\.description) == [])
        let records = StoreConformance.checks.filter(\.needsRecords)
        #expect(await conformance.run(records).map(\.check.id) == records.map(\.id))
    }

    @Test("every store is closed after its check, also after one that failed")
    func closes() async {
        let closed = Counter()
        let conformance = StoreConformance(close: { _ in closed.increment() }) { NaiveStore(.doneTwice, clock: $0) }
        let checks = StoreConformance.checks.filter { $0.id.hasPrefix("settle.") }
        let violations = await conformance.run(checks)
        #expect(closed.value == checks.count)
        #expect(!violations.isEmpty)
    }

    @Test("a store that cannot be made is a violation and not a pass")
    func cannotBeMade() async {
        let conformance = StoreConformance { _ in throw StoreError(.unavailable, "no server") }
        let checks = Array(StoreConformance.checks.prefix(2))
        let violations = await conformance.run(checks)
        #expect(violations.map(\.check.id) == checks.map(\.id))
        #expect(violations.allSatisfy { $0.description.contains("store.unavailable: no server") })
    }
}

/// A store that keeps no records.
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

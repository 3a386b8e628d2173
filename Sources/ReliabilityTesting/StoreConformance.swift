internal import ReliabilityCore
public import ReliabilityStore

/// The one suite that every store passes: what `KeyValueStore` and `RecordStore` promise, as checks.
///
/// Each check gets a new, empty store. With Swift Testing:
///
/// ```swift
/// @Suite struct MyStoreConformance {
///     static let conformance = StoreConformance { clock in try await MyStore(clock: clock) }
///
///     @Test(arguments: conformance.applicableChecks)
///     func conforms(to check: StoreConformance.Check) async throws { try await Self.conformance.run(check) }
/// }
/// ```
///
/// With any other framework, ``run(_:)`` returns a list of violations that should be empty. <doc:TestingAStore> goes
/// through a store that is durable, or on a server.
///
/// A check never waits for real time by itself, uses no randomness but what a seed determines, and names the seed when
/// it fails.
public struct StoreConformance: Sendable {
    /// Every check there is.
    public static let checks: [Check] =
        entryChecks + commitChecks + expiryChecks + updateChecks + scanChecks + limitChecks + concurrencyChecks
        + recordChecks + queueChecks + claimChecks + settleChecks
        + reopeningChecks + crashChecks + clientChecks + answerChecks

    private let seeds: Int
    private let harness: ConformanceHarness

    /// Checks a kind of store.
    ///
    /// Only `makeStore` is required. Each of the others makes more checks applicable; see
    /// ``Need``. A closure gets the store that `makeStore` (or the last `reopen`) returned, and the clock.
    ///
    /// - Parameters:
    ///   - type: The type of the store, for when the compiler cannot tell it from `makeStore`.
    ///   - seeds: How many random histories each of the checks that draw them plays.
    ///   - advance: Returns when at least this much time, at most 10 s, has passed for the store: for a store whose
    ///     time is a server's. Nil where the manual clock is the store's time. With it, what can be seen only while
    ///     time stands still is left out.
    ///   - reopen: Closes the store and opens what it stored again, as the next process would; its wall clock goes on
    ///     as the manual clock does. For a store that is durable.
    ///   - crash: Ends the store as a killed process or a loss of power would, without closing it, and opens what is
    ///     left.
    ///   - secondClient: Connects to the same store once more, as another process would, while the first stays
    ///     connected. The clock it gets is ten minutes ahead of the first one's: for a client that has a clock of its
    ///     own. For a store that several processes use.
    ///   - loseAnswer: Makes the answer to the next call of this operation get lost on its way to the client; whether
    ///     the call still takes effect may differ from time to time. For a store that can stall.
    ///   - close: Called with each store and each second client when its check is over.
    ///   - makeStore: Makes a new, empty store on the clock.
    public init<Store: KeyValueStore>(
        of type: Store.Type = Store.self,
        seeds: Int = 10,
        advance: (@Sendable (Duration) async throws -> Void)? = nil,
        reopen: (@Sendable (Store, ManualClock) async throws -> Store)? = nil,
        crash: (@Sendable (Store, ManualClock) async throws -> Store)? = nil,
        secondClient: (@Sendable (Store, ManualClock) async throws -> Store)? = nil,
        loseAnswer: (@Sendable (Store, StoreOperation) async throws -> Void)? = nil,
        close: @escaping @Sendable (Store) async throws -> Void = { _ in },
        makeStore: @escaping @Sendable (_ clock: ManualClock) async throws -> Store
    ) {
        self.seeds = max(1, seeds)
        harness = ConformanceHarness(
            keepsRecords: Store.self is any RecordStore.Type,
            advance: advance,
            reopen: Self.erased(reopen),
            crash: Self.erased(crash),
            secondClient: Self.erased(secondClient),
            loseAnswer: loseAnswer.map { body in
                { @Sendable (store: any KeyValueStore, operation: StoreOperation) async throws -> Void in
                    try await body(Self.typed(store), operation)
                }
            },
            close: { store in try await close(Self.typed(store)) },
            makeStore: { clock in try await makeStore(clock) }
        )
    }

    private static func erased<Store: KeyValueStore>(
        _ successor: (@Sendable (Store, ManualClock) async throws -> Store)?
    ) -> ConformanceHarness.Successor? {
        guard let successor else { return nil }
        return { store, clock in
            let typed: Store = try Self.typed(store)
            return try await successor(typed, clock)
        }
    }

    /// The store as what `makeStore` returned it as.
    private static func typed<Store: KeyValueStore>(_ store: any KeyValueStore) throws -> Store {
        guard let store = store as? Store else { throw StoreError(.invalid, "another type of store") }
        return store
    }

    /// The checks for which this conformance has what they need, in a fixed order.
    public var applicableChecks: [Check] { Self.checks.filter { $0.needs.isSubset(of: harness.provided) } }

    /// Runs one check on a new store.
    ///
    /// - Parameters:
    ///   - check: The check.
    ///   - seed: The seed of the only random history to play; nil for all of them.
    /// - Throws: ``ConformanceViolation`` when the store breaks the promise, or when the check needs something that was
    ///   not given; what the closures throw.
    public func run(_ check: Check, seed: UInt64? = nil) async throws {
        let missing = check.needs.subtracting(harness.provided)
        guard missing.isEmpty else {
            let names = missing.map(\.description).sorted().joined(separator: ", ")
            throw ConformanceViolation(check: check, seed: nil, explanation: "the check needs \(names)")
        }
        let subject = try await ConformanceSubject(harness)
        let run = ConformanceRun(check: check, subject: subject, seeds: seed.map { $0...$0 } ?? 0...UInt64(seeds - 1))
        do {
            try await check.body(run)
        } catch {
            // What went wrong is told, and not what goes wrong because of it.
            try? await subject.close()
            if let error = error as? StoreError { throw run.failure(error) }
            throw error
        }
        try await subject.close()
    }

    /// Runs one check, by its name, on a new store: what a violation says to do.
    ///
    /// - Parameters:
    ///   - id: The check's name.
    ///   - seed: The seed of the only random history to play; nil for all of them.
    /// - Throws: ``ConformanceViolation`` when the store breaks the promise, or when the check needs something that was
    ///   not given; what the closures throw.
    /// - Precondition: There is a check of this name.
    public func run(_ id: String, seed: UInt64? = nil) async throws {
        guard let check = Self.checks.first(where: { $0.id == id }) else {
            endProcess("no check has the name \"\(id)\"")
        }
        try await run(check, seed: seed)
    }

    /// Runs several checks, one after the other.
    ///
    /// - Parameter checks: The checks.
    /// - Returns: What went wrong; empty when the store keeps all promises.
    public func run(_ checks: [Check]) async -> [ConformanceViolation] {
        var violations: [ConformanceViolation] = []
        for check in checks {
            do {
                try await run(check)
            } catch let violation as ConformanceViolation {
                violations.append(violation)
            } catch {
                let explanation = "could not be checked: \(error)"
                violations.append(ConformanceViolation(check: check, seed: nil, explanation: explanation))
            }
        }
        return violations
    }
}

internal import ReliabilityCore
public import ReliabilityStore
public import ReliabilityTesting

/// A suite of checks for the promises of `KeyValueStore` and `RecordStore`.
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
/// With any other framework, assert that the list of violations returned by ``run(_:)`` is empty. <doc:TestingAStore>
/// describes the setup for a durable store and for a store on a server.
///
/// A check never waits for real time on its own. All random numbers come from a seed, and a violation names the seed.
public struct StoreConformance: Sendable {
    /// All checks in a fixed order.
    public static let checks: [Check] =
        entryChecks + commitChecks + expiryChecks + updateChecks + scanChecks + limitChecks + concurrencyChecks
        + recordChecks + recordNameChecks + recordPageChecks + recordLimitChecks + claimChecks + settleChecks
        + reopeningChecks + crashChecks + clientChecks + answerChecks

    private let seeds: Int
    private let harness: ConformanceHarness

    /// Creates a suite for a type of store.
    ///
    /// Only `makeStore` is required. Each other closure makes more checks applicable. See ``Need``. A closure gets the
    /// current store and the clock. The current store is the last store that `makeStore`, `reopen` or `crash` returned.
    ///
    /// - Parameters:
    ///   - type: The type of the store, if the compiler cannot infer the type from `makeStore`.
    ///   - seeds: The number of random histories in each check that draws histories. At least one history is drawn.
    ///     Defaults to 10.
    ///   - advance: Returns when at least the given time, at most 10 s, has passed for the store. For a store with its
    ///     own time, such as a server. Pass `nil` if the manual clock is the store's time source. With this closure,
    ///     the suite skips all that is visible only while time stands still.
    ///   - reopen: Closes the store and opens the stored data again, as the next process would. The wall clock of the
    ///     new store continues with the manual clock. For a durable store.
    ///   - crash: Ends the store without a close, as a killed process or a power failure would. Then opens the
    ///     remaining data.
    ///   - secondClient: Connects another client to the same store, as another process would. The first client stays
    ///     connected. The clock of the second client is ten minutes ahead of the first client's clock. For clients with
    ///     their own clocks. For a store that several processes use.
    ///   - loseAnswer: Makes the answer to the next call of an operation get lost on the way to the client. The call
    ///     may take effect or not. For a store that can stall.
    ///   - close: Closes a store. Called after each check, for the current store and each second client. Defaults to no
    ///     action.
    ///   - makeStore: Creates a new, empty store on the clock.
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

    /// Returns the store as the type that `makeStore` returns.
    private static func typed<Store: KeyValueStore>(_ store: any KeyValueStore) throws -> Store {
        guard let store = store as? Store else { throw StoreError(.invalid, "another type of store") }
        return store
    }

    /// The checks with all requirements met, in a fixed order.
    public var applicableChecks: [Check] { Self.checks.filter { $0.needs.isSubset(of: harness.provided) } }

    /// Runs a check on a new store.
    ///
    /// - Parameters:
    ///   - check: The check.
    ///   - seed: The seed of the only random history to run, or `nil` for all histories.
    /// - Throws: ``ConformanceViolation`` if the store breaks the promise or a requirement of the check is not met.
    ///   Errors of the closures.
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
            // Report the first error. An error of `close` may be its consequence.
            try? await subject.close()
            if let error = error as? StoreError { throw run.failure(error) }
            throw error
        }
        try await subject.close()
    }

    /// Runs the named check on a new store.
    ///
    /// The description of a ``ConformanceViolation`` contains this call.
    ///
    /// - Parameters:
    ///   - id: The name of the check.
    ///   - seed: The seed of the only random history to run, or `nil` for all histories.
    /// - Throws: ``ConformanceViolation`` if the store breaks the promise or a requirement of the check is not met.
    ///   Errors of the closures.
    /// - Precondition: A check has this name.
    public func run(_ id: String, seed: UInt64? = nil) async throws {
        guard let check = Self.checks.first(where: { $0.id == id }) else {
            endProcess("no check is named \"\(id)\"; StoreConformance.checks lists the names")
        }
        try await run(check, seed: seed)
    }

    /// Runs several checks one after the other.
    ///
    /// - Parameter checks: The checks.
    /// - Returns: The violations. Empty if the store keeps all promises.
    public func run(_ checks: [Check]) async -> [ConformanceViolation] {
        var violations: [ConformanceViolation] = []
        for check in checks {
            do {
                try await run(check)
            } catch let violation as ConformanceViolation {
                violations.append(violation)
            } catch {
                let explanation = "the check could not run: \(error)"
                violations.append(ConformanceViolation(check: check, seed: nil, explanation: explanation))
            }
        }
        return violations
    }
}

public import ReliabilityStore

/// The one suite that every store passes: what `KeyValueStore` and `RecordStore` promise, as checks.
///
/// Each check gets a new, empty store. With Swift Testing:
///
/// ```swift
/// @Suite struct MyStoreConformance {
///     let conformance = StoreConformance { clock in try await MyStore(clock: clock) }
///
///     @Test(arguments: StoreConformance.checks)
///     func conforms(to check: StoreConformance.Check) async throws { try await conformance.run(check) }
/// }
/// ```
///
/// With any other framework, ``run(_:)-(([Check]))`` returns a list of violations that should be empty. A store that
/// keeps no records runs ``keyValueChecks``.
///
/// A check never waits for real time, uses no randomness but what a seed determines, and names the seed when it fails.
public struct StoreConformance: Sendable {
    /// One promise, and how it is checked.
    public struct Check: Identifiable, Sendable, CustomStringConvertible {
        /// A stable name, such as `expiry.boundary`.
        public let id: String
        /// What the store promises.
        public let promise: String
        /// Whether it concerns a `RecordStore` only.
        public let needsRecords: Bool
        let body: @Sendable (ConformanceRun) async throws -> Void

        /// The name and the promise.
        public var description: String { "\(id): \(promise)" }
    }

    /// The checks for a `KeyValueStore`.
    public static let keyValueChecks: [Check] =
        entryChecks + commitChecks + expiryChecks + updateChecks + scanChecks + limitChecks + concurrencyChecks

    /// All checks: those for a `KeyValueStore`, and those for a `RecordStore`.
    public static let checks: [Check] = keyValueChecks + recordChecks + claimChecks + settleChecks

    private let subject: @Sendable () async throws -> Subject
    private let close: @Sendable (any KeyValueStore) async throws -> Void
    private let seeds: Int

    private struct Subject {
        let store: any KeyValueStore
        let isExact: Bool
        let advance: @Sendable (Duration) async throws -> Void
    }

    /// Checks stores whose time a manual clock tells.
    ///
    /// - Parameters:
    ///   - seeds: How many random histories each of the checks that draw them plays.
    ///   - close: Called with each store after its check.
    ///   - makeStore: Makes a new, empty store on the clock.
    public init(
        seeds: Int = 10,
        close: @escaping @Sendable (any KeyValueStore) async throws -> Void = { _ in },
        makeStore: @escaping @Sendable (_ clock: ManualClock) async throws -> any KeyValueStore
    ) {
        self.seeds = seeds
        self.close = close
        subject = {
            let clock = ManualClock()
            return Subject(store: try await makeStore(clock), isExact: true) { clock.advance(by: $0) }
        }
    }

    /// Checks stores whose time is not a manual clock's, such as a server's.
    ///
    /// What can be seen only while time stands still is left out: what an entry is one nanosecond before its end, and
    /// the checks that play random histories.
    ///
    /// - Parameters:
    ///   - seeds: How many random histories each of the checks that draw them plays.
    ///   - advance: Returns when at least this much time has passed for the store; at most 10 s are asked for.
    ///   - close: Called with each store after its check.
    ///   - makeStore: Makes a new, empty store.
    public init(
        seeds: Int = 10,
        advance: @escaping @Sendable (Duration) async throws -> Void,
        close: @escaping @Sendable (any KeyValueStore) async throws -> Void = { _ in },
        makeStore: @escaping @Sendable () async throws -> any KeyValueStore
    ) {
        self.seeds = seeds
        self.close = close
        subject = { Subject(store: try await makeStore(), isExact: false, advance: advance) }
    }

    /// Runs one check on a new store.
    ///
    /// - Parameter check: The check.
    /// - Throws: ``ConformanceViolation`` when the store breaks the promise; what `makeStore` or `close` throws.
    public func run(_ check: Check) async throws {
        let subject = try await subject()
        let run = ConformanceRun(
            check: check,
            store: subject.store,
            seeds: UInt64(max(1, seeds)),
            isExact: subject.isExact,
            advance: subject.advance
        )
        do {
            try await check.body(run)
        } catch let error as StoreError {
            try await close(subject.store)
            throw run.violation("an operation failed that should not have: \(error)")
        } catch {
            try await close(subject.store)
            throw error
        }
        try await close(subject.store)
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
                violations.append(ConformanceViolation(check: check, explanation: "could not be checked: \(error)"))
            }
        }
        return violations
    }
}

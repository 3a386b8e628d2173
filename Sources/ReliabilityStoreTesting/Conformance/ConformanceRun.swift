internal import ReliabilityCore
internal import ReliabilityStore
internal import ReliabilityTesting

/// The context of a check: a new store, its time, and assertions.
struct ConformanceRun: Sendable {
    let check: StoreConformance.Check
    let subject: ConformanceSubject
    let seeds: ClosedRange<UInt64>

    static let keyspace: Keyspace = "conformance"

    /// The current store.
    ///
    /// After a reopen or a crash, the new store.
    var store: any KeyValueStore { subject.store }

    /// A Boolean value that indicates whether time stands still between two calls to `advance`.
    var isExact: Bool { subject.isExact }

    /// Lets time pass.
    ///
    /// The duration is often computed from a time that the store reported.
    func advance(_ duration: Duration) async throws {
        try expect(duration >= .zero, "the store reported a time that requires an advance by \(duration)")
        try await subject.advance(duration)
    }

    func key(_ components: String...) -> StoreKey {
        StoreKey(Self.keyspace, bytes: components.map { Array($0.utf8) })
    }

    /// Returns the store as a `RecordStore`.
    func recordStore() throws -> any RecordStore {
        guard let records = store as? any RecordStore else { throw violation("the store is not a RecordStore") }
        return records
    }

    func violation(_ explanation: String) -> ConformanceViolation {
        ConformanceViolation(check: check, seed: nil, explanation: explanation)
    }

    /// Returns the violation for a call that threw an error and should have succeeded.
    func failure(_ error: StoreError, seed: UInt64? = nil) -> ConformanceViolation {
        ConformanceViolation(
            check: check,
            seed: seed,
            explanation: "an operation that must succeed failed: \(error)"
        )
    }

    func expect(_ condition: Bool, _ explanation: @autoclosure () -> String) throws {
        if !condition { throw violation(explanation()) }
    }

    func expect<Value: Equatable>(_ actual: Value, is expected: Value, _ what: @autoclosure () -> String) throws {
        if actual != expected { throw violation("\(what()): \(actual) instead of \(expected)") }
    }

    // MARK: Entries

    /// Reads entries and expects a result for each key.
    func read(_ keys: [StoreKey]) async throws -> [StoreEntry?] {
        let entries = try await store.get(keys)
        try expect(entries.count, is: keys.count, "the number of results for the keys of a read")
        return entries
    }

    /// Writes a value and expects success.
    @discardableResult
    func put(
        _ key: StoreKey,
        _ value: [UInt8],
        _ expiry: Expiry = .never,
        if condition: WriteCondition = .any
    ) async throws -> StoreVersion {
        let versions = try await committed([.put(key, value, expiry, if: condition)])
        guard let version = versions.first.flatMap({ $0 }) else { throw violation("a put returned no version") }
        return version
    }

    /// Makes a commit and expects success.
    @discardableResult
    func committed(_ writes: [StoreWrite], enqueueing records: [NewRecord] = []) async throws -> [StoreVersion?] {
        guard records.isEmpty else {
            let result = try await recordStore().commit(writes, enqueueing: records)
            guard case .committed(let versions, let added) = result else {
                throw violation("a commit of \(writes) with the records \(records.map(\.id)) ended with \(result)")
            }
            try expect(versions.count, is: writes.count, "the number of versions for a commit")
            try expect(added.count, is: records.count, "the number of results for the records of a commit")
            return versions
        }
        switch try await commit(writes) {
        case .committed(let versions):
            try expect(versions.count, is: writes.count, "the number of versions for a commit")
            return versions
        case .conflict(let index, let current):
            throw violation("a commit found a conflict at \(index) with \(show(current)): \(writes)")
        }
    }

    /// Makes a commit, and a list with one write as a single write.
    private func commit(_ writes: [StoreWrite]) async throws -> CommitResult {
        guard writes.count == 1 else { return try await store.commit(writes) }
        return CommitResult(try await store.commit(writes[0]))
    }

    /// Makes a commit, expects a conflict and returns the conflicting entry.
    func conflicting(_ writes: [StoreWrite], at expected: Int = 0) async throws -> StoreEntry? {
        switch try await commit(writes) {
        case .committed: throw violation("a commit succeeded although a condition is false: \(writes)")
        case .conflict(let index, let current):
            try expect(index, is: expected, "the index of a conflict")
            return current
        }
    }

    /// Expects an entry with this value, or no entry if the value is `nil`.
    @discardableResult
    func expect(_ key: StoreKey, holds value: [UInt8]?, _ when: @autoclosure () -> String) async throws -> StoreEntry? {
        let entry = try await store.get(key)
        try expect(entry?.value == value, "\(when()): \(show(entry)) instead of \(value.map { "\($0)" } ?? "nothing")")
        return entry
    }

    /// Expects two readings of an entry to be equal.
    ///
    /// The remaining life is compared only if time stands still.
    func expectSame(_ first: StoreEntry?, _ second: StoreEntry?, _ what: @autoclosure () -> String) throws {
        let isSame =
            first?.value == second?.value && first?.version == second?.version
            && (!isExact || first?.remaining == second?.remaining)
        try expect(isSame, "\(what()): \(show(first)) instead of \(show(second))")
    }

    /// Expects a call to be rejected.
    func rejected<Success>(
        _ what: @autoclosure () -> String,
        as reason: StoreError.Reason = .invalid,
        _ operation: () async throws -> Success
    ) async throws {
        do {
            _ = try await operation()
        } catch let error as StoreError {
            return try expect(error.reason, is: reason, "the reason of the rejection of \(what())")
        }
        throw violation("\(what()) was not rejected")
    }

    func show(_ entry: StoreEntry?) -> String {
        guard let entry else { return "nothing" }
        return "\(entry.value.prefix(32)) version \(entry.version) remaining \(entry.remaining.map { "\($0)" } ?? "∞")"
    }

    // MARK: Randomness

    /// Runs a random history for each seed.
    ///
    /// A violation names its seed.
    func withSeeds(_ body: (_ seed: UInt64, _ random: inout SeededGenerator) async throws -> Void) async throws {
        for seed in seeds {
            var random = SeededGenerator(seed: seed)
            do {
                try await body(seed, &random)
            } catch let violation as ConformanceViolation {
                throw ConformanceViolation(check: check, seed: seed, explanation: violation.explanation)
            } catch let error as StoreError {
                throw failure(error, seed: seed)
            }
        }
    }
}

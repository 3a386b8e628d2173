internal import ReliabilityCore
internal import ReliabilityStore

/// What a check works with: a new store, its time, and the words for what it should do.
struct ConformanceRun: Sendable {
    let check: StoreConformance.Check
    let subject: ConformanceSubject
    let seeds: ClosedRange<UInt64>

    static let keyspace: Keyspace = "conformance"

    /// The store; after it was opened anew, that one.
    var store: any KeyValueStore { subject.store }

    /// Whether time stands still between two calls to `advance`.
    var isExact: Bool { subject.isExact }

    /// Lets time pass; often as much as the store told.
    func advance(_ duration: Duration) async throws {
        try expect(duration >= .zero, "by what the store told, time would have to pass for \(duration)")
        try await subject.advance(duration)
    }

    func key(_ components: String...) -> StoreKey {
        StoreKey(Self.keyspace, bytes: components.map { Array($0.utf8) })
    }

    /// The store as one that keeps records.
    func recordStore() throws -> any RecordStore {
        guard let records = store as? any RecordStore else { throw violation("the store keeps no records") }
        return records
    }

    func violation(_ explanation: String) -> ConformanceViolation {
        ConformanceViolation(check: check, seed: nil, explanation: explanation)
    }

    /// The violation of a call that threw and should not have.
    func failure(_ error: StoreError, seed: UInt64? = nil) -> ConformanceViolation {
        ConformanceViolation(
            check: check,
            seed: seed,
            explanation: "an operation failed that should not have: \(error)"
        )
    }

    func expect(_ condition: Bool, _ explanation: @autoclosure () -> String) throws {
        if !condition { throw violation(explanation()) }
    }

    func expect<Value: Equatable>(_ actual: Value, is expected: Value, _ what: @autoclosure () -> String) throws {
        if actual != expected { throw violation("\(what()): \(actual) instead of \(expected)") }
    }

    // MARK: Entries

    /// Reads an entry, or nothing, for each key.
    func read(_ keys: [StoreKey]) async throws -> [StoreEntry?] {
        let entries = try await store.get(keys)
        try expect(entries.count, is: keys.count, "how many entries (or nil) are returned for as many keys")
        return entries
    }

    /// Writes a value, which must succeed.
    @discardableResult
    func put(
        _ key: StoreKey,
        _ value: [UInt8],
        _ expiry: Expiry = .never,
        if condition: Precondition = .any
    ) async throws -> StoreVersion {
        let versions = try await committed([.put(key, value, expiry, if: condition)])
        guard let version = versions.first.flatMap({ $0 }) else { throw violation("a put returned no version") }
        return version
    }

    /// Makes a commit that must succeed.
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
        switch try await store.commit(writes) {
        case .committed(let versions):
            try expect(versions.count, is: writes.count, "the number of versions for a commit")
            return versions
        case .conflict(let index, let current):
            throw violation("a commit found a conflict at \(index) with \(show(current)): \(writes)")
        }
    }

    /// Makes a commit that must find a conflict, and returns the entry in its way.
    func conflicting(_ writes: [StoreWrite], at expected: Int = 0) async throws -> StoreEntry? {
        switch try await store.commit(writes) {
        case .committed: throw violation("a commit succeeded in spite of a false precondition: \(writes)")
        case .conflict(let index, let current):
            try expect(index, is: expected, "the index of a conflict")
            return current
        }
    }

    /// Expects an entry of this value, or none.
    @discardableResult
    func expect(_ key: StoreKey, holds value: [UInt8]?, _ when: @autoclosure () -> String) async throws -> StoreEntry? {
        let entry = try await store.get(key)
        try expect(entry?.value == value, "\(when()): \(show(entry)) instead of \(value.map { "\($0)" } ?? "nothing")")
        return entry
    }

    /// Expects two readings of an entry to be the same; what remains of its life only if time stands still.
    func expectSame(_ first: StoreEntry?, _ second: StoreEntry?, _ what: @autoclosure () -> String) throws {
        let isSame =
            first?.value == second?.value && first?.version == second?.version
            && (!isExact || first?.remaining == second?.remaining)
        try expect(isSame, "\(what()): \(show(first)) instead of \(show(second))")
    }

    /// Expects a call to be refused.
    func refused<Success>(
        _ what: @autoclosure () -> String,
        as reason: StoreError.Reason = .invalid,
        _ operation: () async throws -> Success
    ) async throws {
        do {
            _ = try await operation()
        } catch let error as StoreError {
            return try expect(error.reason, is: reason, "the reason for refusing \(what())")
        }
        throw violation("\(what()) was not refused")
    }

    func show(_ entry: StoreEntry?) -> String {
        guard let entry else { return "nothing" }
        return "\(entry.value.prefix(32)) version \(entry.version) remaining \(entry.remaining.map { "\($0)" } ?? "∞")"
    }

    // MARK: Randomness

    /// Plays a random history once for each seed; a violation names its seed.
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

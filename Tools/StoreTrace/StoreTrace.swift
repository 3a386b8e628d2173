package import ReliabilityStore
import ReliabilityTesting

/// A random sequence of calls to a store, whose answers are the same for every store.
///
/// Times are hours and the trace takes seconds. Versions are replaced by numbers in the order in which the trace meets
/// the versions.
package struct StoreTrace {
    package let seed: UInt64
    package let count: Int

    /// Creates a trace.
    ///
    /// - Parameters:
    ///   - seed: The seed of the calls.
    ///   - count: The number of calls.
    package init(seed: UInt64, count: Int) {
        self.seed = seed
        self.count = count
    }

    /// Makes the calls and returns a line for each.
    ///
    /// - Parameters:
    ///   - store: An empty store.
    ///   - advance: Moves the clock of a store in virtual time after each call.
    /// - Returns: The lines.
    package func answers(of store: some RecordStore, advance: () -> Void = {}) async -> [String] {
        var run = TraceRun(seed: seed)
        var lines: [String] = []
        for number in 0..<count {
            lines.append("seed \(seed), call \(number): \(await run.call(store))")
            advance()
        }
        return lines
    }
}

/// A trace under way.
struct TraceRun {
    private var random: SeededGenerator
    var names = VersionNames()
    /// The records whose tokens are known, with tokens that have become stale among them.
    var tokens: [(queue: QueueName, id: String, token: StoreVersion)] = []

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func call(_ store: some RecordStore) async -> String {
        switch pick(13) {
        case 0: await get(store)
        case 1...3: await commit(store, records: [])
        case 4: await commit(store, records: records())
        case 5: await update(store)
        case 6: await updateOne(store)
        case 7: await scan(store)
        case 8: await enqueue(store)
        case 9: await claim(store)
        case 10: await settle(store)
        case 11: await page(store)
        default: await state(store)
        }
    }

    // MARK: Choices

    mutating func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }

    mutating func key() -> StoreKey { StoreKey(Keyspace(pick(3) == 0 ? "a" : "b"), "k\(pick(6))") }

    /// Returns different keys in any order.
    mutating func keys(_ count: Int) -> [StoreKey] {
        var keys: [StoreKey] = []
        while keys.count < count {
            let key = key()
            if !keys.contains(key) { keys.append(key) }
        }
        return keys
    }

    mutating func queue() -> QueueName { QueueName("q\(pick(2))") }

    mutating func expiry() -> Expiry {
        switch pick(4) {
        case 0: .never
        case 1: .keep
        default: .after(.seconds(3600 * (1 + pick(50))))
        }
    }

    mutating func value() -> [UInt8] { (0..<pick(20)).map { _ in UInt8(pick(256)) } }

    mutating func condition() -> WriteCondition {
        switch pick(6) {
        case 0: .absent
        case 1: .present
        case 2: .version(names.known.randomElement(using: &random) ?? StoreVersion(rawValue: UInt64(Int64.max)))
        default: .any
        }
    }

    mutating func write(_ key: StoreKey) -> StoreWrite {
        switch pick(8) {
        case 0: .delete(key, if: condition())
        case 1: .touch(key, expiry(), if: condition())
        case 2: .check(key, condition())
        default: .put(key, value(), expiry(), if: condition())
        }
    }

    mutating func change() -> AtomicUpdate {
        switch pick(3) {
        case 0: .add(Int64(pick(7) - 3), within: -5...10, expiry: .seconds(3600 * 9))
        case 1: .gcra(interval: .seconds(3600), burst: 1 + pick(4), cost: pick(3))
        default: .fixedWindow(length: .seconds(3600 * 7), limit: 4, cost: pick(3))
        }
    }

    /// Returns records of which at most one is due, because the order of equal due times is not specified.
    mutating func records() -> [NewRecord] {
        (0..<1 + pick(3)).map { position in
            NewRecord(
                queue: queue(),
                id: "r\(pick(12))",
                payload: [UInt8(pick(2))],
                delay: position == 0 && pick(3) > 0 ? .zero : .seconds(3600 * (1 + pick(20)))
            )
        }
    }

    mutating func settlement(_ record: (queue: QueueName, id: String, token: StoreVersion)) -> Settlement {
        let hours = Duration.seconds(3600 * (1 + pick(9)))
        let action: Settlement.Action =
            switch pick(7) {
            case 0: .retry(after: pick(2) == 0 ? .zero : hours, countsAttempt: pick(2) == 0)
            case 1: .holdBack(hours)
            case 2: .extend(hours)
            case 3, 4: .deadLetter(reason: "reason \(pick(3))")
            case 5: .redrive
            default: .done
            }
        return Settlement(queue: record.queue, id: record.id, token: record.token, action)
    }
}

/// The versions of a store, named by the order in which a trace meets the versions.
struct VersionNames {
    private(set) var known: [StoreVersion] = []

    /// Returns the name of a version.
    mutating func name(_ version: StoreVersion?) -> String {
        guard let version else { return "-" }
        if let index = known.lastIndex(of: version) { return "v\(index)" }
        known.append(version)
        return "v\(known.count - 1)"
    }
}

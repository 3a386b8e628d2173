internal import ReliabilityCore
package import ReliabilityStore

/// Random operations on a few keys and queues.
///
/// Most operations find something, and some are invalid.
package struct OperationMix: Sendable {
    package var keys: [StoreKey]
    package var queues: [QueueName]
    package var ids: [String]
    /// The longest value and payload.
    package var longestValue: Int
    /// The percentage of invalid operations.
    package var invalidPercentage: Int

    package init(
        keys: Int = 6,
        queues: Int = 2,
        ids: Int = 5,
        longestValue: Int = 40,
        invalidPercentage: Int = 3
    ) {
        // Some keys are prefixes of others.
        // Others differ only after many bytes.
        self.keys = (0..<keys).map { number in
            if number >= 12, number % 2 == 0 { return Self.key("a long name of key number \(number)") }
            return number % 3 == 2 ? Self.key("k\(number / 3)", "sub\(number)") : Self.key("k\(number)")
        }
        self.queues = (0..<queues).map { QueueName("q\($0)") }
        self.ids = (0..<ids).map { "id\($0)" }
        self.longestValue = longestValue
        self.invalidPercentage = invalidPercentage
    }

    package static let keyspace: Keyspace = "mix"

    private static func key(_ components: String...) -> StoreKey {
        StoreKey(keyspace, bytes: components.map { Array($0.utf8) })
    }

    /// Returns an operation for a store with the content of the model.
    package func next(_ model: ModelStore, using random: inout some RandomNumberGenerator) -> WorkloadOperation {
        if Int.random(in: 0..<100, using: &random) < invalidPercentage {
            return invalidOperation(model, using: &random)
        }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<10: return .get(some(keys, 1...4, using: &random))
        case 10..<15:
            let after = Bool.random(using: &random) ? one(keys, using: &random) : nil
            return .scan(
                prefix: Int.random(in: 0..<3, using: &random) == 0
                    ? one(keys, using: &random) : StoreKey(Self.keyspace),
                after: after,
                limit: .random(in: 1...6, using: &random)
            )
        case 15..<47: return commit(model, using: &random)
        case 47..<57:
            return .update(some(keys, 1...3, using: &random).map { .init($0, update(using: &random)) })
        case 57..<65: return .enqueue(records(1...3, using: &random))
        case 65..<75:
            return .claim(
                one(queues, using: &random),
                limit: .random(in: 1...3, using: &random),
                lease: one([.nanoseconds(1), .milliseconds(3), .seconds(1), .seconds(Int64.max)], using: &random)
            )
        case 75..<89: return .settle(settlements(model, using: &random))
        case 89..<92: return .nextDue(one(queues, using: &random))
        case 92..<95: return .counts(one(queues, using: &random))
        default:
            return .page(
                one(queues, using: &random),
                Bool.random(using: &random) ? .pending : .deadLetter,
                after: Bool.random(using: &random) ? one(ids, using: &random) : nil,
                limit: .random(in: 1...4, using: &random)
            )
        }
    }

    // MARK: Parts

    private func one<Element>(_ elements: [Element], using random: inout some RandomNumberGenerator) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &random)]
    }

    private func some<Element>(
        _ elements: [Element],
        _ count: ClosedRange<Int>,
        using random: inout some RandomNumberGenerator
    ) -> [Element] {
        Array(elements.shuffled(using: &random).prefix(Int.random(in: count, using: &random)))
    }

    private func value(using random: inout some RandomNumberGenerator) -> [UInt8] {
        // Most values are short, and some are zeros, which look like space that was never written.
        let isLong = Int.random(in: 0..<8, using: &random) == 0
        let count = Int.random(in: 0...(isLong ? longestValue : min(12, longestValue)), using: &random)
        if Int.random(in: 0..<8, using: &random) == 0 { return [UInt8](repeating: 0, count: count) }
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    private func wait(using random: inout some RandomNumberGenerator) -> Duration {
        one(
            [
                .zero, .milliseconds(-5), .nanoseconds(1), .microseconds(1500), .milliseconds(1), .milliseconds(10),
                .seconds(1), .seconds(3600), .seconds(Int64.max),
            ],
            using: &random
        )
    }

    private func expiry(using random: inout some RandomNumberGenerator) -> Expiry {
        switch Int.random(in: 0..<4, using: &random) {
        case 0, 1: .never
        case 2: .after(wait(using: &random))
        default: .keep
        }
    }

    private func condition(
        _ key: StoreKey,
        _ model: ModelStore,
        using random: inout some RandomNumberGenerator
    ) -> WriteCondition {
        let current = model.entries.first { $0.key == key }?.stored.version
        switch Int.random(in: 0..<12, using: &random) {
        case 0..<7: return .any
        case 7: return .absent
        case 8: return .present
        case 9: return .version(StoreVersion(rawValue: .random(in: 0...model.nextVersion, using: &random)))
        default: return .version(StoreVersion(rawValue: current ?? 1))
        }
    }

    private func commit(_ model: ModelStore, using random: inout some RandomNumberGenerator) -> WorkloadOperation {
        var writes: [StoreWrite] = []
        for key in some(keys, 1...4, using: &random) {
            let condition = condition(key, model, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<6:
                writes.append(.put(key, value(using: &random), expiry(using: &random), if: condition))
            case 6, 7: writes.append(.delete(key, if: condition))
            case 8: writes.append(.touch(key, expiry(using: &random), if: condition))
            default: writes.append(.check(key, condition))
            }
        }
        if Int.random(in: 0..<4, using: &random) > 0 { return .commit(writes, []) }
        // Sometimes records alone, which may be duplicates.
        let records = records(1...2, using: &random)
        return .commit(Int.random(in: 0..<4, using: &random) == 0 ? [] : writes, records)
    }

    private func update(using random: inout some RandomNumberGenerator) -> AtomicUpdate {
        switch Int.random(in: 0..<4, using: &random) {
        case 0, 1:
            // A shorter expiry than before shortens the life of the entry even if the update is denied.
            .add(
                .random(in: -2...3, using: &random),
                within: 0...6,
                expiry: one([.milliseconds(1), .milliseconds(20), .seconds(60), .seconds(Int64.max)], using: &random)
            )
        case 2:
            .gcra(interval: one([.milliseconds(2), .seconds(1)], using: &random), burst: 3, cost: 1)
        default:
            .fixedWindow(length: one([.milliseconds(7), .seconds(5)], using: &random), limit: 3, cost: 1)
        }
    }

    private func records(
        _ count: ClosedRange<Int>,
        using random: inout some RandomNumberGenerator
    ) -> [NewRecord] {
        (0..<Int.random(in: count, using: &random)).map { _ in
            NewRecord(
                queue: one(queues, using: &random),
                id: one(ids, using: &random),
                // The payload is often the same as before.
                payload: Bool.random(using: &random) ? [7] : value(using: &random),
                delay: Bool.random(using: &random) ? .zero : wait(using: &random)
            )
        }
    }

    private func settlements(_ model: ModelStore, using random: inout some RandomNumberGenerator) -> [Settlement] {
        var settlements: [Settlement] = []
        for record in some(model.records, 1...3, using: &random) {
            let isStale = Int.random(in: 0..<6, using: &random) == 0
            let action: Settlement.Action =
                switch Int.random(in: 0..<11, using: &random) {
                case 10: .holdBack(wait(using: &random))
                case 0..<3: .done
                case 3, 4: .retry(after: wait(using: &random), countsAttempt: Bool.random(using: &random))
                case 5: .extend(one([.nanoseconds(1), .milliseconds(4), .seconds(9)], using: &random))
                case 6: .deadLetter(reason: "broken \(Int.random(in: 0..<100, using: &random))")
                case 7: .deadLetter(reason: reason(using: &random))
                default: .redrive
                }
            settlements.append(
                Settlement(
                    queue: QueueName(record.queue),
                    id: record.id,
                    token: StoreVersion(rawValue: isStale ? record.version &- 1 : record.version),
                    action
                )
            )
        }
        if settlements.isEmpty {
            let token = StoreVersion(rawValue: 1)
            settlements = [Settlement(queue: one(queues, using: &random), id: "nobody", token: token, .done)]
        }
        return settlements
    }

    /// Returns a reason near the length limit with characters of one to four bytes.
    private func reason(using random: inout some RandomNumberGenerator) -> String {
        var reason = String(repeating: "x", count: Int.random(in: 1015...1024, using: &random))
        for _ in 0..<4 { reason += one(["y", "é", "→", "🛑", ""], using: &random) }
        return longestValue < 600 ? String(reason.suffix(8)) : reason
    }

    /// Returns an operation that every store rejects, or an operation at a limit.
    private func invalidOperation(
        _ model: ModelStore,
        using random: inout some RandomNumberGenerator
    ) -> WorkloadOperation {
        let key = one(keys, using: &random)
        let queue = one(queues, using: &random)
        let long = StoreKey(Self.keyspace, String(repeating: "l", count: 2000))
        let many = (0...model.capabilities.maxWrites).map { StoreKey(Self.keyspace, "\($0)") }
        let token = StoreVersion(rawValue: 1)
        let choices: [WorkloadOperation] = [
            .get([]), .get([key, long]), .get([key, key]),
            .scan(prefix: key, after: nil, limit: 0),
            .commit([], []), .commit([.delete(key, if: .any), .check(key, .any)], []),
            .commit([.put(long, [], .never, if: .any)], []), .commit(many.map { .check($0, .any) }, []),
            .commit([.check(key, .any)], [NewRecord(queue: queue, id: "", payload: [])]),
            .update([]),
            .update([.init(key, .gcra(interval: .zero, burst: 0, cost: 0)), .init(key, update(using: &random))]),
            .enqueue([]), .enqueue([NewRecord(queue: "", id: "a", payload: [])]),
            .enqueue([NewRecord(queue: queue, id: String(repeating: "i", count: 257), payload: [])]),
            .claim(queue, limit: 0, lease: .seconds(1)), .claim(queue, limit: 1, lease: .zero),
            .claim(QueueName(String(repeating: "q", count: 65)), limit: 1, lease: .seconds(1)),
            .settle([]), .settle([.init(queue: queue, id: "a", token: token, .extend(.zero))]),
            .settle(Array(repeating: .init(queue: queue, id: "a", token: token, .done), count: 2)),
            .nextDue(""), .counts(""), .page("", .deadLetter, after: nil, limit: 1),
            .page(queue, .pending, after: nil, limit: -1),
        ]
        return one(choices, using: &random)
    }
}

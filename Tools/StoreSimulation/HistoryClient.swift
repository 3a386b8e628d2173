internal import ReliabilityCore
internal import ReliabilityStore

/// The operations of one client of a history, which depend on earlier answers.
struct HistoryClient {
    private static let keys = (0..<3).map { StoreKey("hot", "\($0)") }
    private static let queue: QueueName = "hot"

    private var versions: [StoreVersion?] = [nil, nil, nil]
    private var claims: [RecordClaim] = []
    private var dead: [RecordInfo] = []

    mutating func next(using random: inout SplitMix) -> WorkloadOperation {
        let index = Int.random(in: 0..<3, using: &random)
        let key = Self.keys[index]
        let value = (0..<Int.random(in: 0..<400, using: &random) / 40).map { UInt8(truncatingIfNeeded: $0) }
        let expiry: Expiry = Int.random(in: 0..<4, using: &random) == 0 ? .after(.milliseconds(3)) : .never
        let condition: WriteCondition =
            switch Int.random(in: 0..<4, using: &random) {
            case 0: .any
            case 1: .absent
            default: versions[index].map { .version($0) } ?? .any
            }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<18: return .get(Array(Self.keys.shuffled(using: &random).prefix(1 + index)))
        case 18..<22: return .scan(prefix: StoreKey("hot"), after: nil, limit: 1 + index)
        case 22..<42: return .commit([.put(key, value, expiry, if: condition)], [])
        case 42..<48:
            let other = Self.keys[(index + 1) % 3]
            return .commit([.put(key, value, expiry, if: condition), .put(other, value, .keep, if: .any)], [])
        case 48..<53: return .commit([.delete(key, if: condition)], [])
        case 53..<55: return .commit([.touch(key, expiry, if: condition)], [])
        case 55..<57: return .commit([.check(key, condition)], [])
        case 57..<64: return .update([.init(key, .add(1, within: 0...4, expiry: .milliseconds(6)))])
        case 64..<68: return .commit([.put(key, value, expiry, if: condition)], [record(using: &random)])
        case 68..<76: return .enqueue([record(using: &random)])
        case 76..<86:
            let lease: Duration = Bool.random(using: &random) ? .milliseconds(2) : .seconds(60)
            return .claim(Self.queue, limit: 1 + index % 2, lease: lease)
        case 86..<94: return settle(using: &random)
        case 94..<96: return .page(Self.queue, .deadLetter, after: nil, limit: 3)
        case 96..<98: return .page(Self.queue, .pending, after: nil, limit: 3)
        case 98: return .counts(Self.queue)
        default: return .nextDue(Self.queue)
        }
    }

    private func record(using random: inout SplitMix) -> NewRecord {
        NewRecord(
            queue: Self.queue,
            id: "\(Int.random(in: 0..<6, using: &random))",
            payload: [UInt8.random(in: 0...1, using: &random)],
            delay: Int.random(in: 0..<4, using: &random) == 0 ? .milliseconds(2) : .zero
        )
    }

    private mutating func settle(using random: inout SplitMix) -> WorkloadOperation {
        if let info = dead.popLast(), Bool.random(using: &random) {
            return .settle([.init(queue: Self.queue, id: info.id, token: info.version, .redrive)])
        }
        guard let claim = claims.last else { return .counts(Self.queue) }
        let action: Settlement.Action =
            switch Int.random(in: 0..<6, using: &random) {
            case 5: .holdBack(.milliseconds(2))
            case 0, 1: .done
            case 2: .retry(after: .zero, countsAttempt: Bool.random(using: &random))
            case 3: .extend(.milliseconds(4))
            default: .deadLetter(reason: "no")
            }
        // A settlement is sometimes repeated.
        if Int.random(in: 0..<5, using: &random) > 0 { claims.removeLast() }
        return .settle([.init(claim, action)])
    }

    mutating func see(_ answer: StoreAnswer, to operation: WorkloadOperation) {
        switch (operation, answer) {
        case (.get(let keys), .entries(let entries)):
            for (key, entry) in zip(keys, entries) { see(key, entry?.version) }
        case (.commit(let writes, _), .commit(.committed(let versions, _))):
            for (write, version) in zip(writes, versions) { see(write.key, version) }
        case (.commit(let writes, _), .commit(.conflict(let index, let current))):
            see(writes[index].key, current?.version)
        case (_, .claimed(let new)): claims += new
        case (_, .page(let page)): dead = page.records.filter { $0.deadLetterReason != nil }
        default: break
        }
    }

    private mutating func see(_ key: StoreKey, _ version: StoreVersion?) {
        if let index = Self.keys.firstIndex(of: key) { versions[index] = version }
    }
}

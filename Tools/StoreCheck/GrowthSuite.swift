import CheckSupport
import Foundation
import ReliabilityStore

/// Measures the steps of each operation in the indexes at N, 2N and 4N, and fails if an operation's cost grows.
///
/// A step is a visited node or a moved slot. `--size` is N. `--factor` is the largest growth to 4N in percent.
func growthSuite(_ options: Options) -> SuiteResult {
    let size = max(1000, options["size"] ?? 10_000)
    let limit = Double(options["factor"] ?? 135) / 100
    let costs = [1, 2, 4].map { Growth(size: $0 * size).costs() }
    var failures: [String] = []
    for (index, (name, first)) in costs[0].enumerated() {
        let last = costs[2][index].steps
        print("\(name): " + costs.map { String(format: "%.1f", $0[index].steps) }.joined(separator: ", "))
        // A cost below two steps cannot grow with the content.
        if last > max(2, first) * limit {
            failures.append("\(name) takes \(first) steps at \(size) and \(last) at \(4 * size)")
        }
    }
    return SuiteResult(summary: "\(costs[0].count) operations at \(size) to \(4 * size) entries", failures: failures)
}

/// A state with a number of entries, pending and scheduled records, dead letters and queues.
private struct Growth {
    private static let queue: QueueName = "work"
    /// A queue in which no record is due.
    private static let scheduled: QueueName = "scheduled"
    private static let rounds = 200
    private let size: Int
    private var state: StoreStateMachine

    init(size: Int) {
        self.size = size
        state = StoreStateMachine(
            capabilities: StoreCapabilities(durability: .none, openedAt: nil, canStall: false),
            limits: StoreLimits(maxEntries: .max, maxBytes: .max)
        )
        state.advance(to: 1_700_000_000_000_000_000)
        for number in 0..<size {
            state.apply([
                .put(Self.key(number), StoredEntry(value: [1], version: 1, expiresAt: .max - Int64(number))),
                .putRecord(Self.record(Self.queue.description, "\(number)", nil)),
                .putRecord(Self.record(Self.queue.description, "dead-\(number)", "broken")),
                .putRecord(Self.record("queue-\(number)", "1", nil)),
                .putRecord(Self.record(Self.scheduled.description, "\(number)", nil, dueAt: .max - Int64(number))),
            ])
        }
    }

    private static func key(_ number: Int) -> StoreKey { StoreKey("test", "\(number)") }

    private static func record(_ queue: String, _ id: String, _ reason: String?, dueAt: Int64 = 0) -> StoredRecord {
        StoredRecord(
            queue: queue,
            id: id,
            payload: [1],
            version: 2,
            attempts: 0,
            dueAt: dueAt,
            isLeased: false,
            deadLetterReason: reason
        )
    }

    /// Returns the mean steps of each operation.
    func costs() -> [(name: String, steps: Double)] {
        let size = size
        var costs: [(name: String, steps: Double)] = []
        func measure(
            _ name: String,
            in queue: QueueName = Self.queue,
            _ body: (inout StoreStateMachine, Int) throws -> Void
        ) {
            var copy = Growth(size: size).state
            let before = copy.indexSteps(queue)
            for round in 0..<Self.rounds { try? body(&copy, round * (size / Self.rounds)) }
            costs.append((name, Double(copy.indexSteps(queue) - before) / Double(Self.rounds)))
        }
        func write(_ name: String, _ write: @escaping (Int) -> StoreWrite) {
            measure(name) { state, number in
                if let change = try state.plan(write(number)).change { state.apply(change) }
            }
        }
        measure("get") { state, number in _ = try state.get([Self.key(number)]) }
        write("put of a new key") { .put(StoreKey("test", "new", "\($0)"), [1], .never, if: .absent) }
        write("put of a present key") { .put(Self.key($0), [1, 2], .after(.seconds(1)), if: .present) }
        write("delete") { .delete(Self.key($0), if: .present) }
        measure("update") { state, number in
            let update = AtomicUpdate.gcra(interval: .seconds(1), burst: 9, cost: 1)
            if let change = try state.plan(Self.key(number), update).change { state.apply(change) }
        }
        measure("scan of 100") { state, number in
            _ = try state.scan(StoreKey("test"), after: Self.key(number), limit: 100)
        }
        measure("enqueue") { state, number in
            state.apply(
                try state.planEnqueue([NewRecord(queue: Self.queue, id: "new-\(number)", payload: [])]).mutations
            )
        }
        measure("claim") { state, _ in
            state.apply(try state.planClaim(Self.queue, limit: 1, lease: .seconds(9)).mutations)
        }
        measure("claim without a due record", in: Self.scheduled) { state, _ in
            state.apply(try state.planClaim(Self.scheduled, limit: 64, lease: .seconds(9)).mutations)
            _ = try state.nextDue(Self.scheduled)
        }
        settle("settle", .done, id: { "\($0)" })
        settle("redrive", .redrive, id: { "dead-\($0)" })
        measure("page of 100") { state, number in
            _ = try state.page(Self.queue, .deadLetter, after: "dead-\(number)", limit: 100)
        }
        measure("counts") { state, _ in _ = try state.counts(Self.queue) }
        measure("nextDue") { state, _ in _ = try state.nextDue(Self.queue) }
        measure("slice of 100") { state, number in
            let start = StoreMutation.remove(Self.key(number)).contentKey
            _ = state.slice(from: start, to: nil, limit: 100, maxBytes: .max)
        }
        return costs

        func settle(_ name: String, _ action: Settlement.Action, id: @escaping (Int) -> String) {
            measure(name) { state, number in
                let token = StoreVersion(rawValue: 2)
                let settlement = Settlement(queue: Self.queue, id: id(number), token: token, action)
                state.apply(try state.planSettle([settlement]).mutations)
            }
        }
    }
}

import ReliabilityCore
import ReliabilityStore

/// The steps of one worker.
///
/// The seed and the number of steps determine the content of the store.
struct Workload: Sendable {
    let worker: Int
    let seed: UInt64

    /// The content of this worker in the store.
    struct Content: Equatable {
        var entries: [String: [UInt8]] = [:]
        var pending: [Int: [UInt8]] = [:]
        var dead: [Int: [UInt8]] = [:]
    }

    private enum Action {
        /// Two entries and a counter in one commit.
        case pair([UInt8])
        case deletePair
        /// An entry and a record in one commit.
        case enqueue([UInt8])
        /// Claims everything and settles the first.
        case finish
        case bury
        case redrive
    }

    private var keyspace: Keyspace { Keyspace("worker \(worker)") }
    private var queue: QueueName { QueueName("queue \(worker)") }
    private func key(_ name: String) -> StoreKey { StoreKey(keyspace, name) }

    private func action(_ step: Int) -> Action {
        var state = seed &+ UInt64(worker) &* 0x9E37_79B9 &+ UInt64(step) &* 0x1_0000_0001
        func next() -> Int {
            state = (state ^ state >> 29) &* 0xBF58_476D_1CE4_E5B9 &+ 1
            return Int(state >> 33)
        }
        _ = next()
        let kind = next() % 12
        let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: step), count: next() % 1500)
        return switch kind {
        case 0..<5: .pair(bytes)
        case 5: .deletePair
        // Additions and removals balance, so the queue stays short.
        case 6..<8: .enqueue(bytes)
        case 8..<10: .finish
        case 10: .bury
        default: .redrive
        }
    }

    /// Returns the content after a step.
    func content(_ content: Content, after step: Int) -> Content {
        var content = content
        switch action(step) {
        case .pair(let bytes):
            content.entries["a"] = bytes
            content.entries["b"] = bytes
            content.entries["step"] = Array("\(step)".utf8)
        case .deletePair:
            content.entries["a"] = nil
            content.entries["b"] = nil
        case .enqueue(let bytes):
            content.entries["last"] = Array("\(step)".utf8)
            content.pending[step] = bytes
        case .finish:
            if let first = content.pending.keys.min() { content.pending[first] = nil }
        case .bury:
            if let first = content.pending.keys.min() {
                content.dead[first] = content.pending.removeValue(forKey: first)
            }
        case .redrive:
            if let first = content.dead.keys.min() {
                content.pending[first] = content.dead.removeValue(forKey: first)
            }
        }
        return content
    }

    /// Executes a step.
    ///
    /// - Returns: The greatest version of the step, or 0 for none.
    func perform(_ step: Int, on store: some RecordStore) async throws -> UInt64 {
        let number = Array("\(step)".utf8)
        switch action(step) {
        case .pair(let bytes):
            return try await commit(
                [
                    .put(key("a"), bytes, .never, if: .any), .put(key("b"), bytes, .after(.seconds(86_400)), if: .any),
                    .put(key("step"), number, .keep, if: .any),
                ],
                [],
                store
            )
        case .deletePair:
            return try await commit([.delete(key("a"), if: .any), .delete(key("b"), if: .any)], [], store)
        case .enqueue(let bytes):
            return try await commit(
                [.put(key("last"), number, .never, if: .any)],
                [NewRecord(queue: queue, id: "\(step)", payload: bytes)],
                store
            )
        case .finish: return try await settleFirst(.done, store)
        case .bury: return try await settleFirst(.deadLetter(reason: "buried"), store)
        case .redrive:
            let dead = try await store.page(queue, .deadLetter, after: nil, limit: 10_000).records
            guard let first = dead.min(by: { Int($0.id) ?? 0 < Int($1.id) ?? 0 }) else { return 0 }
            let settlement = Settlement(queue: queue, id: first.id, token: first.version, .redrive)
            guard try await store.settle([settlement]) == [.settled] else { throw Unexpected() }
            return 0
        }
    }

    private func commit(
        _ writes: [StoreWrite],
        _ records: [NewRecord],
        _ store: some RecordStore
    ) async throws -> UInt64 {
        guard case .committed(let versions, _) = try await store.commit(writes, enqueueing: records) else {
            throw Unexpected()
        }
        return versions.compactMap { $0?.rawValue }.max() ?? 0
    }

    private func settleFirst(_ action: Settlement.Action, _ store: some RecordStore) async throws -> UInt64 {
        // A claim may take 128 at once; the first record is the oldest, but a lease that ended may have moved it back.
        var claims: [RecordClaim] = []
        while true {
            let more = try await store.claim(queue, limit: 128, lease: .seconds(3600))
            if more.isEmpty { break }
            claims += more
        }
        guard let first = claims.min(by: { Int($0.id) ?? 0 < Int($1.id) ?? 0 }) else { return 0 }
        guard try await store.settle([Settlement(first, action)]) == [.settled] else { throw Unexpected() }
        let others = claims.filter { $0.id != first.id }
        for start in stride(from: 0, to: others.count, by: 128) {
            let back = others[start...].prefix(128)
            let settled = try await store.settle(
                back.map { Settlement($0, .retry(after: .zero, countsAttempt: false)) }
            )
            guard settled.allSatisfy({ $0 == .settled }) else { throw Unexpected() }
        }
        return claims.map(\.token.rawValue).max() ?? 0
    }

    /// The content of this worker in the store.
    func content(of store: some RecordStore) async throws -> Content {
        var content = Content()
        let names = ["a", "b", "step", "last"]
        for (name, entry) in zip(names, try await store.get(names.map(key))) { content.entries[name] = entry?.value }
        for record in try await store.page(queue, .pending, after: nil, limit: 10_000).records {
            content.pending[Int(record.id) ?? -1] = record.payload
        }
        for record in try await store.page(queue, .deadLetter, after: nil, limit: 10_000).records {
            content.dead[Int(record.id) ?? -1] = record.payload
        }
        return content
    }

    struct Unexpected: Error {}
}

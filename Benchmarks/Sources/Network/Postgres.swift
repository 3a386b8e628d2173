import Foundation
import Outbox
import ReliabilityLibPQ
import ReliabilityPostgres
import ReliabilityStore
import Synchronization

/// A store with the library's default number of connections, 8.
private func open(_ address: String) async throws -> PostgresStore {
    try await PostgresStore { try LibPQTransport(address) }
}

/// Creates the schema of the store.
@Sendable func migratePostgres(_ address: String, _: Int, _: Int) async throws -> Network.Figures {
    let transport = try LibPQTransport(address)
    try await PostgresSchema.migrate(transport)
    await transport.close()
    return [:]
}

/// Commits of one put with a new key.
@Sendable func measurePostgresCommits(_ address: String, _ count: Int, _ tasks: Int) async throws -> Network.Figures {
    let store = try await open(address)
    let keys = (0..<count).map(Content.key)
    return try await measureCalls(count, tasks) { number in
        let result: WriteResult = try await store.commit(.put(keys[number], Content.value, .never, if: .absent))
        guard case .committed = result else { preconditionFailure("a key was written twice") }
    }
}

/// Changes of a single counter.
@Sendable func measurePostgresCounter(_ address: String, _ count: Int, _ tasks: Int) async throws -> Network.Figures {
    let store = try await open(address)
    let counter = AtomicUpdate.add(1, within: 0...Int64.max, expiry: .seconds(3600))
    return try await measureCalls(count, tasks) { _ in
        guard try await store.update(Content.key(0), counter).isAllowed else { preconditionFailure("a change failed") }
    }
}

/// Changes of a single counter while a transaction holds a snapshot.
@Sendable func measurePostgresCounterBesideSnapshot(
    _ address: String,
    _ count: Int,
    _ tasks: Int
) async throws -> Network.Figures {
    try await LibPQTransport(address).withSession { session in
        for statement in ["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1"] {
            let reply = try await session.query(statement, [], limit: .seconds(3))
            precondition(reply.sqlState == nil, reply.message)
        }
        return try await measurePostgresCounter(address, count, tasks)
    }
}

/// Messages from their commit to their settlement, each committed alone by one of the tasks, with one relay.
@Sendable func measurePostgresOutbox(_ address: String, _ count: Int, _ tasks: Int) async throws -> Network.Figures {
    let store = try await open(address)
    let queue = OutboxQueue("messages", store: store, storeFailure: .failClosed(timeout: .seconds(60)))
    let delivered = Atomic(0)
    let relay = OutboxRelay(.init(concurrency: 64), queue: queue) { _ in
        delivered.add(1, ordering: .relaxed)
    }
    let running = Task { await relay.run() }
    let start = ContinuousClock.now
    try await withThrowingTaskGroup { group in
        for task in 0..<tasks {
            group.addTask {
                for number in stride(from: task, to: count, by: tasks) {
                    let message = OutboxMessage(
                        id: Content.digits(number),
                        topic: "placed",
                        payload: Content.payload
                    )
                    try await queue.commit([], sending: [message])
                }
            }
        }
        try await group.waitForAll()
    }
    let enqueueing = (ContinuousClock.now - start) / .seconds(1)
    while delivered.load(ordering: .relaxed) < count { try await Task.sleep(for: .milliseconds(1)) }
    while try await queue.counts().pending > 0 { try await Task.sleep(for: .milliseconds(1)) }
    let elapsed = (ContinuousClock.now - start) / .seconds(1)
    running.cancel()
    await running.value
    return ["perSecond": Double(count) / elapsed, "enqueuedPerSecond": Double(count) / enqueueing]
}

/// Records from their enqueueing to their settlement, 100 in each call of a task.
@Sendable func measurePostgresBatches(_ address: String, _ count: Int, _ tasks: Int) async throws -> Network.Figures {
    let store = try await open(address)
    let queue: QueueName = "messages"
    let size = 100
    let start = ContinuousClock.now
    let settled = try await withThrowingTaskGroup(of: Int.self) { group in
        for task in 0..<tasks {
            group.addTask {
                var settled = 0
                for first in stride(from: task * size, to: count, by: tasks * size) {
                    let records = (first..<min(first + size, count)).map {
                        NewRecord(queue: queue, id: Content.digits($0), payload: Content.payload)
                    }
                    _ = try await store.enqueue(records)
                    let claims = try await store.claim(queue, limit: size, lease: .seconds(60))
                    let results = try await store.settle(claims.map { Settlement($0, .done) })
                    settled += results.count { $0 == .settled }
                }
                return settled
            }
        }
        return try await group.reduce(0, +)
    }
    let elapsed = (ContinuousClock.now - start) / .seconds(1)
    // A claim skips records that another task holds, so a few records may be left.
    precondition(settled > count / 2, "only \(settled) of \(count) records were settled")
    return ["perSecond": Double(settled) / elapsed]
}

#if LibPQ
import Outbox
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import ReliabilityPostgres

@Suite(
    "Notifications of a PostgresStore",
    .serialized,
    .serverTurn,
    .timeLimit(.minutes(10)),
    .enabled(if: PostgresServer.isEnabled)
)
struct NotificationTests {
    /// A relay of another process, which polls once in an hour.
    private struct Receiver {
        let store: PostgresStore
        let relay: OutboxRelay
        let relaying: Task<Void, Never>
        let delivered = EventRecorder<String>()
        let changes: EventRecorder<Bool>

        init(_ fixture: StoreFixture, pollInterval: Duration = .seconds(3600)) async throws {
            let changes = EventRecorder<Bool>()
            self.changes = changes
            let store = try await fixture.store(usesNotifications: true) { event in
                if case .notificationsChanged(let isListening, _) = event { changes.record(isListening) }
            }
            self.store = store
            let queue = OutboxQueue("q", store: store, storeFailure: .failClosed())
            let relay = OutboxRelay(.init(pollInterval: pollInterval), queue: queue) { [delivered] in
                delivered.record($0.message.id)
            }
            self.relay = relay
            relaying = Task { await relay.run() }
        }

        func end() async {
            relay.drain()
            await relaying.value
            store.close()
        }
    }

    private func message(_ id: String) -> OutboxMessage { OutboxMessage(id: id, topic: "t", payload: [1]) }

    /// Ends the connections that listen.
    private func endListeners(_ fixture: StoreFixture) async throws -> Int {
        try await fixture.admin.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN \"\(fixture.schema)\"'"
        ).count
    }

    @Test("a new record wakes the relays of other processes, however the record is added")
    func wakes() async throws {
        let fixture = try await StoreFixture()
        let receiver = try await Receiver(fixture)
        _ = await receiver.changes.wait(for: 1)
        let sender = try await fixture.store(usesNotifications: true)
        let outbox = OutboxQueue("q", store: sender, storeFailure: .failClosed())
        try await outbox.commit([.put(StoreKey("a"), [1], .never, if: .any)], sending: [message("commit")])
        #expect(await receiver.delivered.wait(for: 1) == ["commit"])
        _ = try await sender.enqueue([outbox.record(for: message("enqueue"))])
        #expect(await receiver.delivered.wait(for: 2).last == "enqueue")
        try await fixture.admin.withSession { session in
            try await session.withTransaction {
                _ = try await sender.enqueue([outbox.record(for: message("transaction"))], in: session)
            }
        }
        #expect(await receiver.delivered.wait(for: 3).last == "transaction")
        await receiver.end()
        sender.close()
        try await fixture.close()
    }

    @Test("N41: messages are delivered within the poll while every listener is ended again and again")
    func lostListeners() async throws {
        let fixture = try await StoreFixture()
        let receiver = try await Receiver(fixture, pollInterval: .milliseconds(100))
        _ = await receiver.changes.wait(for: 1)
        let sender = try await fixture.store(usesNotifications: true)
        let outbox = OutboxQueue("q", store: sender, storeFailure: .failClosed())
        var ended = 0
        for round in 0..<20 {
            ended += try await endListeners(fixture)
            try await outbox.commit([], sending: [message("\(round)")])
            ended += try await endListeners(fixture)
            #expect(await receiver.delivered.wait(for: round + 1).count == round + 1)
        }
        #expect(ended > 0)
        await receiver.end()
        sender.close()
        try await fixture.close()
    }

    @Test("a lost listener is replaced, reported, and wakes the relays for the lost notifications")
    func replacedListener() async throws {
        let fixture = try await StoreFixture()
        let receiver = try await Receiver(fixture)
        _ = await receiver.changes.wait(for: 1)
        // A store without the option sends no notifications.
        let silent = try await fixture.store()
        for round in 1...3 {
            let outbox = OutboxQueue("q", store: silent, storeFailure: .failClosed())
            try await outbox.commit([], sending: [message("\(round)")])
            try await eventually("the listener is ended") { try await endListeners(fixture) > 0 }
            #expect(await receiver.delivered.wait(for: round).last == "\(round)")
            _ = await receiver.changes.wait(for: 1 + 2 * round)
        }
        #expect(receiver.changes.events == [true, false, true, false, true, false, true])
        await receiver.end()
        silent.close()
        try await eventually("the listener is closed") { try await endListeners(fixture) == 0 }
        try await fixture.close()
    }

    @Test("a client without notifications is reported once, and messages are delivered by polling")
    func withoutListener() async throws {
        let fixture = try await StoreFixture()
        let reasons = EventRecorder<StoreError.Reason?>()
        let transport = RecordingTransport(try LibPQTransport(fixture.server.address()))
        let store = try await PostgresStore(
            .init(schema: fixture.schema, callTimeout: .seconds(15), usesNotifications: true),
            limits: ConnectionLimits()
        ) { event in
            if case .notificationsChanged(_, let reason) = event { reasons.record(reason?.reason) }
        } connect: {
            transport
        }
        #expect(await reasons.wait(for: 1) == [.failed])
        let outbox = OutboxQueue("q", store: store, storeFailure: .failClosed())
        let delivered = EventRecorder<String>()
        let relay = OutboxRelay(.init(pollInterval: .milliseconds(50)), queue: outbox) {
            delivered.record($0.message.id)
        }
        let relaying = Task { await relay.run() }
        _ = try await store.enqueue([outbox.record(for: message("a"))])
        #expect(await delivered.wait(for: 1) == ["a"])
        relay.drain()
        await relaying.value
        store.close()
        try await fixture.close()
    }

    @Test("N40: a store without the option sends no notifications")
    func statements() {
        let (off, on) = (Statements(schema: "s"), Statements(schema: "s", notifies: true))
        for text in [off.enqueue, off.commit, off.commitWithRecords, on.commit] { #expect(!text.contains("notify")) }
        for text in [on.enqueue, on.commitWithRecords] { #expect(text.contains("pg_notify('s', ")) }
    }
}
#endif

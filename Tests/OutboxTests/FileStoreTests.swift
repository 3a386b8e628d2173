import Foundation
import Outbox
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import Testing

@Suite("Outbox over a FileStore")
struct OutboxFileStoreTests {
    private let directory = NSTemporaryDirectory() + "outbox-\(UUID().uuidString)"

    @Test("what a process left undelivered is delivered after the next opening, with the same ids, none twice")
    func afterReopening() async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let first = try await FileStore.open(at: directory)
        let queue = OutboxQueue("mail", store: first)
        for number in 0..<50 {
            let key = StoreKey("order", "\(number)")
            let message = OutboxMessage(id: "\(number)", topic: "order", payload: [UInt8(number)])
            _ = try await queue.commit([.put(key, [1], .never, if: .absent)], sending: [message])
        }
        // Some were claimed by a worker that never settled them.
        let claims = try await first.claim("mail", limit: 20, lease: .seconds(86_400))
        #expect(claims.count == 20)
        await first.close()

        let second = try await FileStore.open(at: directory)
        let again = OutboxQueue("mail", store: second)
        let delivered = EventRecorder<String>()
        // Those are delivered one at a time, after about a second.
        let relay = OutboxRelay(again) { delivered.record($0.message.id) }
        let running = Task { await relay.run() }
        let ids = await delivered.wait(for: 50)
        relay.drain()
        await running.value
        #expect(Set(ids).count == 50 && delivered.events.count == 50)
        #expect(try await again.counts() == RecordCounts(pending: 0, dead: 0))
        await second.close()
    }

    @Test("a relay over a store that is closed returns")
    func closed() async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let store = try await FileStore.open(at: directory)
        let relay = OutboxRelay(OutboxQueue("mail", store: store)) { _ in }
        await store.close()
        await relay.run()
    }
}

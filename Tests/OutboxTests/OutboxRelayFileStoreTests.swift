import Foundation
import Outbox
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import Testing

@Suite("OutboxRelay over a FileStore")
struct OutboxRelayFileStoreTests {
    private let directory = NSTemporaryDirectory() + "outbox-\(UUID().uuidString)"

    @Test("undelivered messages are delivered once after a reopening")
    func afterReopening() async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let first = try await FileStore.open(at: directory)
        let queue = OutboxQueue("mail", store: first, storeFailure: .failClosed(timeout: .seconds(3600)))
        for number in 0..<50 {
            let key = StoreKey("order", "\(number)")
            let message = OutboxMessage(id: "\(number)", topic: "order", payload: [UInt8(number)])
            _ = try await queue.commit([.put(key, [1], .never, if: .absent)], sending: [message])
        }
        // Another worker claimed some messages and never settled them.
        let claims = try await first.claim("mail", limit: 20, lease: .seconds(86_400))
        #expect(claims.count == 20)
        await first.close()

        let second = try await FileStore.open(at: directory)
        let again = OutboxQueue("mail", store: second, storeFailure: .failClosed(timeout: .seconds(3600)))
        let delivered = EventRecorder<String>()
        // The unsettled messages are delivered one at a time after about a second.
        let relay = OutboxRelay(queue: again) { delivered.record($0.message.id) }
        let running = Task { await relay.run() }
        let ids = await delivered.wait(for: 50)
        relay.drain()
        await running.value
        #expect(Set(ids).count == 50 && delivered.events.count == 50)
        #expect(try await again.counts() == RecordCounts(pending: 0, deadLetters: 0))
        await second.close()
    }

    @Test("run returns if the store is closed")
    func closed() async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let store = try await FileStore.open(at: directory)
        let relay = OutboxRelay(
            queue: OutboxQueue("mail", store: store, storeFailure: .failClosed(timeout: .seconds(3600)))
        ) { _ in }
        await store.close()
        await relay.run()
    }
}

import Foundation
import Reliability
import Synchronization

/// An order desk that answers the payment webhooks of a provider.
///
/// The provider and the desk are in one process. The program prints the answer to each delivery and each payment, and
/// ends with 1 if an order is not paid exactly once.
@main
struct PaymentWebhooks {
    private static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    static func main() async throws {
        let store = InMemoryStore()
        let outbox = OutboxQueue("webhooks", store: store, storeFailure: .failClosed(timeout: .seconds(1)))
        let verifier = WebhookVerifier(.init(.standard, secrets: [.init("current", secret)]))
        let inbox = WebhookInbox(
            .init("payments", types: ["payment.settled"], retention: .seconds(5 * 86_400)),
            verifier,
            outbox: outbox,
            observer: { event in
                if case .rejected(let error) = event { print("  reason, for the log only: \(error)") }
            }
        )

        for (title, headers, body) in try deliveries() {
            let answer = await inbox.accept(headers: headers, body: body)
            print("\(title): \(answer.status) \(answer.outcome)")
        }

        // The handler runs at least once for each message, so a deduplicator is around the effect.
        let paid = Mutex<[String: Int]>([:])
        let once = Deduplicator(
            .replay(retention: .seconds(5 * 86_400)),
            keyspace: "payments",
            store: store,
            storeFailure: .failClosed()
        )
        let relay = OutboxRelay(queue: outbox) { delivery in
            guard let event = WebhookEvent(delivery.message) else { return }
            let payment = try JSONDecoder().decode(Payment.self, from: Data(event.body))
            _ = try await once.run("pay", [event.id]) { _ in
                paid.withLock { $0[payment.order, default: 0] += 1 }
                print("order \(payment.order) is paid")
                return payment.order
            }
        }
        let running = Task { await relay.run() }
        while try await outbox.counts().pending > 0 { await Task.yield() }
        relay.drain()
        await running.value
        if paid.withLock({ $0 }) != ["o-1": 1, "o-2": 1] { exit(1) }
    }

    /// The deliveries of the provider and of an attacker.
    private static func deliveries() throws -> [(
        title: String, headers: [(name: String, value: String)], body: [UInt8]
    )] {
        let signer = try WebhookSigner(keys: [.init(secret)])
        let forger = try WebhookSigner(keys: [.init("whsec_" + Data(repeating: 0, count: 32).base64EncodedString())])
        let now = Int64(Date().timeIntervalSince1970)
        let first = Array(#"{"type":"payment.settled","order":"o-1"}"#.utf8)
        let second = Array(#"{"type":"payment.settled","order":"o-2"}"#.utf8)
        let other = Array(#"{"type":"payment.created","order":"o-3"}"#.utf8)
        return [
            ("a payment", try signer.headerFields(id: "msg_1", unixSeconds: now, body: first), first),
            ("the same payment again", try signer.headerFields(id: "msg_1", unixSeconds: now + 5, body: first), first),
            ("another payment", try signer.headerFields(id: "msg_2", unixSeconds: now, body: second), second),
            ("a changed body", try signer.headerFields(id: "msg_3", unixSeconds: now, body: first), second),
            ("a forged payment", try forger.headerFields(id: "msg_4", unixSeconds: now, body: second), second),
            (
                "a replay after ten minutes", try signer.headerFields(id: "msg_5", unixSeconds: now - 600, body: first),
                first
            ),
            ("the id of another payment", try signer.headerFields(id: "msg_1", unixSeconds: now, body: second), second),
            ("a type that is not accepted", try signer.headerFields(id: "msg_6", unixSeconds: now, body: other), other),
        ]
    }
}

private struct Payment: Decodable {
    let order: String
}

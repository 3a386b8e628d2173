import Crypto
import Dedup
import Foundation
import NIOCore
import NIOHTTP1
import Outbox
import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityWebhooks

/// A receiver with one inbox for each scheme in one file store.
///
/// The effect of an event is a line with its identity in the file `effects`. A `Deduplicator` is around the effect.
struct Receiver: Sendable {
    /// The secrets of the schemes by the paths of their routes.
    static let secrets = [
        "/standard": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "/stripe": "whsec_test_secret",
        "/asymmetric": "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
    ]
    static let maxBodyBytes = 1 << 20

    let directory: String

    func run(port: Int) async throws {
        let store = try await FileStore.open(at: directory + "/store")
        let outbox = OutboxQueue("webhooks", store: store, storeFailure: .failClosed(timeout: .seconds(1)))
        let standard = WebhookVerifier(.init(.standard, secrets: [.init("current", Self.secrets["/standard"] ?? "")]))
        let stripe = WebhookVerifier(.init(.stripe, secrets: [.init("current", Self.secrets["/stripe"] ?? "")]))
        // The published message of this scheme has a fixed time.
        let asymmetric = WebhookVerifier(
            .init(.standardAsymmetric, secrets: [.init("current", Self.secrets["/asymmetric"] ?? "")]),
            unixSeconds: { 1_614_265_330 },
            ed25519: { publicKey, signature, message in
                let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey)
                return key?.isValidSignature(signature, for: message) ?? false
            }
        )
        let inboxes = [
            "/standard": inbox("standard", standard, outbox, types: ["payment.settled"]),
            "/stripe": inbox("stripe", stripe, outbox),
            "/asymmetric": inbox("asymmetric", asymmetric, outbox),
        ]
        let relay = try relay(outbox, store)
        async let delivered: Void = relay.run()
        try await serveHTTP(port: port, maxBodyBytes: Self.maxBodyBytes) { request in
            guard let inbox = inboxes[request.path] else { return Response(status: 404) }
            guard request.method == "POST" else { return Response(status: 405) }
            let answer = await inbox.accept(headers: request.headers, body: request.body)
            return Response(status: answer.status, headers: answer.headerFields, body: answer.body)
        }
        await delivered
    }

    private func inbox(
        _ source: String,
        _ verifier: WebhookVerifier,
        _ outbox: OutboxQueue,
        types: Set<String>? = nil
    ) -> WebhookInbox {
        WebhookInbox(.init(source, types: types, retention: .seconds(31 * 86_400)), verifier, outbox: outbox)
    }

    private func relay(_ outbox: OutboxQueue, _ store: FileStore) throws -> OutboxRelay {
        let file = unsafe open(directory + "/effects", O_WRONLY | O_CREAT | O_APPEND, 0o644)
        if file < 0 { throw ReceiverError("the file of the effects cannot be opened") }
        let once = Deduplicator(
            .replay(retention: .seconds(86_400)),
            keyspace: "effects",
            store: store,
            storeFailure: .failClosed()
        )
        return OutboxRelay(.init(concurrency: 64), queue: outbox) { delivery in
            guard let event = WebhookEvent(delivery.message) else { return }
            _ = try await once.run("effect", [delivery.message.topic, event.id]) { _ in
                let line = Array("\(delivery.message.topic) \(event.id)\n".utf8)
                if unsafe write(file, line, line.count) != line.count { throw ReceiverError("the effect failed") }
                return ""
            }
        }
    }
}

struct ReceiverError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

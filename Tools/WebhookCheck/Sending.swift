import Foundation
import Outbox
import ReliabilityStore
import ReliabilityWebhooks

/// Sends messages to the endpoints of a server on the loopback interface, and prints each end of a delivery.
///
/// The paths of the server are the identities of the endpoints. The endpoint `rotated` has a new and an old key. The
/// endpoint `private` has an address that the policy rejects.
func send(port: Int, messages: Int) async throws {
    let standard = try WebhookSigner(keys: [.init(Receiver.secrets["/standard"] ?? "")])
    let new = "whsec_" + Data(repeating: 7, count: 32).base64EncodedString()
    let signers = [
        "standard": standard,
        "stripe": try WebhookSigner(.stripe, keys: [.init(Receiver.secrets["/stripe"] ?? "")]),
        "rotated": try standard.rotating(to: new, endingOthersAt: 4_000_000_000),
        "gone": standard, "redirect": standard, "endless": standard, "private": standard,
    ]
    let endpoints = Dictionary(
        uniqueKeysWithValues: signers.map { id, signer in
            let host = id == "private" ? "10.0.0.1" : "localhost"
            return (id, WebhookEndpoint(id, url: "http://\(host):\(port)/\(id)", signer: signer))
        }
    )
    let outbox = OutboxQueue("sending", store: InMemoryStore(), storeFailure: .failClosed())
    let ends = AsyncStream.makeStream(of: String.self)
    let sender = WebhookSender(
        .init(
            schedule: [.milliseconds(10), .milliseconds(10)],
            timeLimit: .seconds(5),
            failuresBeforeQuarantine: 1000,
            addresses: .init(ports: [UInt16(port)], addressKinds: [.loopback], allowsPlainHTTP: true)
        ),
        outbox: outbox,
        observer: { event in
            switch event {
            case .delivered(let endpoint, let id, _): ends.continuation.yield("delivered \(endpoint) \(id)")
            case .dead(let endpoint, let id, _, let error): ends.continuation.yield("dead \(endpoint) \(id) \(error)")
            default: break
            }
        },
        resolve: { _ in [WebhookAddress([127, 0, 0, 1])].compactMap(\.self) },
        endpoints: { endpoints[$0] },
        transport: post
    )
    async let running: Void = sender.run()
    for number in 0..<messages {
        let payload = Array(#"{"id":"evt_\#(number)","object":"event","type":"order.paid","data":{"name":"Zoë"}}"#.utf8)
        let message = try WebhookMessage("order.paid", id: "msg_\(number)", payload: payload)
        try await outbox.commit([], sending: message.records(for: endpoints.keys.sorted()))
    }
    var left = messages * endpoints.count
    for await end in ends.stream {
        FileHandle.standardOutput.write(Data("\(end)\n".utf8))
        left -= 1
        if left == 0 { break }
    }
    await sender.drain(within: .seconds(5))
    await running
}

import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport

@testable import ReliabilityWebhooks

/// An outbox and a transport in a simulation, with every request and every event.
struct SenderFixture: Sendable {
    /// A request with its time since the start.
    struct Sent: Sendable {
        let time: Duration
        let endpoint: String
        let request: WebhookRequest

        var id: String? { request.headerFields.first { $0.name == "webhook-id" }?.value }
    }

    static let start: Int64 = 1_700_000_000
    static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    static let otherSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

    let clock: ManualClock
    private let start: ManualClock.Instant
    let memory: InMemoryStore
    let store: StoreDouble
    let outbox: OutboxQueue
    let sent = EventRecorder<Sent>()
    let events = EventRecorder<WebhookSenderEvent>()

    init(_ clock: ManualClock) {
        self.clock = clock
        start = clock.now
        memory = InMemoryStore(clock: clock)
        store = StoreDouble(memory)
        outbox = OutboxQueue("hooks", store: store, storeFailure: .failClosed(), clock: clock)
    }

    /// The time since the start.
    var elapsed: Duration { start.duration(to: clock.now) }
    var unixSeconds: Int64 { Self.start + elapsed.components.seconds }

    static func endpoint(_ id: String, keys: [WebhookSigner.Key] = [.init(secret)]) throws -> WebhookEndpoint {
        WebhookEndpoint(id, url: "https://\(id).example.com/hook?token=hidden", signer: try WebhookSigner(keys: keys))
    }

    func sender(
        _ configuration: WebhookSender.Configuration = .init(),
        unixSeconds: (@Sendable () -> Int64)? = nil,
        resolve: @escaping @Sendable (String) async throws -> [WebhookAddress] = { _ in globalAddresses },
        endpoints: @escaping @Sendable (String) async throws -> WebhookEndpoint? = { try endpoint($0) },
        transport: @escaping @Sendable (Sent) async throws -> WebhookResponse
    ) -> WebhookSender {
        WebhookSender(
            configuration,
            outbox: outbox,
            clock: clock,
            unixSeconds: unixSeconds ?? { self.unixSeconds },
            observer: events.record,
            resolve: resolve,
            endpoints: endpoints
        ) { request in
            let sent = Sent(
                time: elapsed,
                endpoint: String(request.target.host.prefix { $0 != "." }),
                request: request
            )
            self.sent.record(sent)
            return try await transport(sent)
        }
    }

    /// Commits messages with the identities for endpoints.
    func commit(_ ids: [String], to endpoints: [String]) async throws {
        for id in ids {
            let message = try WebhookMessage("order.paid", id: id, payload: Array("{\"id\":\"\(id)\"}".utf8))
            try await outbox.commit([], sending: message.records(for: endpoints))
        }
    }

    /// Runs a sender for a time, and ends the run.
    func run(_ sender: WebhookSender, in simulation: Simulation, for time: Duration) async throws {
        let run = simulation.spawn { await sender.run() }
        try await clock.sleep(for: time)
        run.cancel()
        _ = await run.result
    }

    /// The requests to an endpoint.
    func requests(to endpoint: String) -> [Sent] { sent.events.filter { $0.endpoint == endpoint } }

    func counts() async throws -> RecordCounts { try await outbox.counts() }

    /// The reasons of the dead letters by the identities of their records.
    func deadLetters() async throws -> [String: String] {
        let page = try await memory.page("hooks", .deadLetter, after: nil, limit: 1000)
        return Dictionary(uniqueKeysWithValues: page.records.map { ($0.id, $0.deadLetterReason ?? "") })
    }
}

/// The addresses of a host on the internet.
let globalAddresses = [WebhookAddress([8, 8, 8, 8])].compactMap(\.self)

import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityWebhooks

@Suite("Limits and addresses of attempts", .compactMapIssues(Simulation.fail(on:)))
struct WebhookSenderSafetyTests {
    private static let loopback = [WebhookAddress([127, 0, 0, 1])].compactMap(\.self)

    @Test("W32: an endpoint with a rejected URL or address gets no byte, and its record has the reason")
    func rejected() throws {
        let urls = ["http://a.example.com/", "https://127.1/", "https://10.0.0.1/", "https://a.example.com:22/", "x"]
        for url in urls + ["https://mixed.example.com/", "https://none.example.com/"] {
            try Simulation.run(seeds: 0..<1) { simulation in
                let fixture = SenderFixture(simulation.clock)
                let sender = fixture.sender(
                    .init(schedule: [.seconds(5)]),
                    resolve: { $0.hasPrefix("none") ? [] : globalAddresses + Self.loopback },
                    endpoints: { id in
                        WebhookEndpoint(id, url: url, signer: try WebhookSigner(keys: [.init(SenderFixture.secret)]))
                    }
                ) { _ in WebhookResponse(status: 200) }
                try await fixture.commit(["msg_1"], to: ["a"])
                try await fixture.run(sender, in: simulation, for: .seconds(60))
                #expect(fixture.sent.events.isEmpty, "\(url)")
                #expect(try await fixture.deadLetters() == ["msg_1:a": "webhook.address_rejected"], "\(url)")
            }
        }
    }

    @Test("W32: a name that changes its address is checked at each attempt, and the transport gets the checked address")
    func rebinding() throws {
        try Simulation.run(seeds: 0..<1) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let lookups = Lock(0)
            let sender = fixture.sender(
                .init(schedule: [.seconds(5), .seconds(5)]),
                resolve: { _ in
                    let count = lookups.withLock { count in
                        count += 1
                        return count
                    }
                    if count == 3 { throw TestError() }
                    return count == 2 ? Self.loopback : globalAddresses
                }
            ) { _ in WebhookResponse(status: 500) }
            try await fixture.commit(["msg_1"], to: ["a"])
            try await fixture.run(sender, in: simulation, for: .seconds(60))
            #expect(fixture.sent.events.map(\.request.address) == globalAddresses)
            #expect(fixture.sent.events.map(\.request.target.host) == ["a.example.com"])
            let codes = sender.attempts(of: "a").map(\.error?.code)
            #expect(codes == ["webhook.status", "webhook.address_rejected", "webhook.resolution_failed"])
        }
    }

    @Test("W33: an answer that never ends, also of a transport that ignores its cancellation, ends at the time limit")
    func endless() throws {
        for ignoresCancellation in [true, false] {
            try Simulation.run(seeds: 0..<3) { simulation in
                let fixture = SenderFixture(simulation.clock)
                let running = ConcurrencyCounter()
                let sender = fixture.sender(.init(timeLimit: .seconds(15))) { sent in
                    running.increment()
                    defer { running.decrement() }
                    if sent.endpoint == "b" { return WebhookResponse(status: 200) }
                    for _ in 0..<10_000 {
                        do { try await simulation.clock.sleep(for: .seconds(1)) } catch {
                            if !ignoresCancellation { throw error }
                            await Task { try? await simulation.clock.sleep(for: .seconds(7200)) }.value
                        }
                    }
                    return WebhookResponse(status: 200)
                }
                try await fixture.commit(["msg_1", "msg_2", "msg_3"], to: ["a", "b"])
                try await fixture.run(sender, in: simulation, for: .seconds(1000))
                let attempts = sender.attempts(of: "a")
                #expect(!attempts.isEmpty && attempts.allSatisfy { $0.duration == .seconds(15) && $0.status == nil })
                #expect(attempts.allSatisfy { $0.error?.code == "webhook.timed_out" })
                #expect(fixture.requests(to: "a").allSatisfy { $0.request.timeLimit == .seconds(15) })
                #expect(fixture.requests(to: "b").count == 3 && running.peak <= 3)
                #expect(ignoresCancellation ? attempts.count == 2 : attempts.count > 2)
            }
        }
    }

    @Test(
        "W33: at most 16 KiB are asked for, and at most 512 bytes are logged, and only if chosen",
        arguments: [true, false]
    )
    func large(logsResponses: Bool) throws {
        try Simulation.run(seeds: 0..<1) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let sender = fixture.sender(.init(logsResponses: logsResponses)) { _ in
                WebhookResponse(
                    status: 200,
                    headerFields: [("retry-after", String(repeating: "9", count: 1 << 20))],
                    body: Array(repeating: 65, count: 1 << 20)
                )
            }
            try await fixture.commit(["msg_1"], to: ["a"])
            try await fixture.run(sender, in: simulation, for: .seconds(60))
            #expect(fixture.sent.events.map(\.request.maxResponseBytes) == [16_384])
            #expect(sender.attempts(of: "a").map(\.responseStart.count) == [logsResponses ? 512 : 0])
        }
    }

    @Test("no event, error, attempt or snapshot contains a secret, the URL or the body")
    func secrecy() async throws {
        let recorder = Lock<EventRecorder<WebhookSenderEvent>?>(nil)
        let texts = Lock("")
        try Simulation.run(seeds: 0..<1) { simulation in
            let fixture = SenderFixture(simulation.clock)
            recorder.withLock { $0 = fixture.events }
            let sender = fixture.sender(.init(schedule: [.seconds(5)], failuresBeforeQuarantine: 2)) { sent in
                if sent.time > .seconds(1) { throw TestReliabilityError() }
                return WebhookResponse(status: 500)
            }
            try await fixture.commit(["msg_1", "msg_2", "msg_3"], to: ["a"])
            let run = simulation.spawn { await sender.run() }
            try await simulation.clock.sleep(for: .seconds(1000))
            var text = "\(try SenderFixture.endpoint("a")) \(sender.snapshot) "
            dump(sender.attempts(of: "a"), to: &text)
            dump(try SenderFixture.endpoint("a").signer, to: &text)
            texts.withLock { $0 = text }
            run.cancel()
            _ = await run.result
        }
        let events = await recorder.withLock { $0 }?.wait(for: 4) ?? []
        let text = texts.withLock { $0 } + events.map { "\($0)" }.joined()
        #expect(!text.contains("MfKQ9r8G") && !text.contains("hidden") && !text.contains("example.com"))
        #expect(!text.contains(#"{"id"#) && text.contains("msg_1"))
    }
}

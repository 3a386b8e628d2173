import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import ReliabilityWebhooks

@Suite("Replay and delivery log", .compactMapIssues(Simulation.fail(on:)))
struct WebhookReplayTests {
    @Test("W35: replays and redrives keep the id, so a receiver with deduplication acts once")
    func replay() throws {
        try Simulation.run(seeds: 0..<5) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let received = OutboxQueue(
                "received",
                store: fixture.memory,
                storeFailure: .failClosed(),
                clock: simulation.clock
            )
            let verifier = WebhookVerifier(.init(.standard, secrets: [.init("only", SenderFixture.secret)])) {
                fixture.unixSeconds
            }
            let inbox = WebhookInbox(.init("us", retention: .seconds(30 * 86_400)), verifier, outbox: received)
            let isLost = Lock(false)
            let sender = fixture.sender(
                .init(schedule: [.seconds(5)], replayRetention: .seconds(86_400))
            ) { sent in
                let answer = await inbox.accept(headers: sent.request.headerFields, body: sent.request.body)
                // The message is accepted, and the answer is lost.
                return WebhookResponse(status: isLost.withLock { $0 } ? 500 : answer.status)
            }
            let run = simulation.spawn { await sender.run() }
            try await fixture.commit(["old"], to: ["a"])
            try await simulation.clock.sleep(for: .seconds(100))
            try await fixture.commit(["new"], to: ["a", "b"])
            try await simulation.clock.sleep(for: .seconds(100))
            isLost.withLock { $0 = true }
            try await fixture.commit(["dead"], to: ["a", "b"])
            try await simulation.clock.sleep(for: .seconds(20))
            isLost.withLock { $0 = false }
            #expect(try await fixture.deadLetters().count == 2)
            let count = fixture.sent.events.count
            #expect(try await sender.replay("old", to: "a"))
            #expect(try await sender.replay("dead", to: "b"))
            #expect(try await sender.replay("old", to: "b") == false)
            try await simulation.clock.sleep(for: .seconds(20))
            #expect(
                Set(fixture.sent.events.dropFirst(count).map { "\($0.id ?? "") \($0.endpoint)" }) == [
                    "old a", "dead b",
                ]
            )
            #expect(try await sender.replay(since: SenderFixture.start + 50, to: "a") == 3)
            try await simulation.clock.sleep(for: .seconds(20))
            let replayed = fixture.sent.events.dropFirst(count + 2)
            // The replay of the old message is itself a delivery since the time.
            #expect(replayed.map(\.id).sorted { $0 ?? "" < $1 ?? "" } == ["dead", "new", "old"])
            #expect(replayed.allSatisfy { $0.endpoint == "a" })
            #expect(try await fixture.deadLetters() == [:])
            #expect(try await received.counts().pending == 3)
            // The retention ends.
            try await simulation.clock.sleep(for: .seconds(100_000))
            #expect(try await sender.replay("old", to: "a") == false)
            #expect(try await sender.replay(since: 0, to: "a") == 0)
            run.cancel()
            _ = await run.result
        }
    }

    @Test("a replay since the time of the disabling includes the message that disabled the endpoint")
    func replaySinceDisabling() throws {
        try Simulation.run(seeds: 0..<5) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let sender = fixture.sender { _ in WebhookResponse(status: 410) }
            try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...999)))
            try await fixture.commit(["msg_1"], to: ["a"])
            try await fixture.run(sender, in: simulation, for: .milliseconds(simulation.random(in: 10_000...10_999)))
            let time = try #require(try await sender.enable("a"))
            #expect(try await sender.replay(since: time, to: "a") == 1)
        }
    }

    @Test("an identity with a colon does not name the message of another endpoint")
    func replayWithColon() throws {
        try Simulation.run(seeds: 0..<1) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let sender = fixture.sender { _ in WebhookResponse(status: 410) }
            try await fixture.commit(["a"], to: ["b:c"])
            try await fixture.run(
                fixture.sender(endpoints: { _ in nil }) { _ in throw CancellationError() },
                in: simulation,
                for: .seconds(1)
            )
            #expect(try await fixture.deadLetters() == ["a:b:c": "webhook.unknown_endpoint"])
            #expect(try await sender.replay("a:b", to: "c") == false)
            #expect(try await sender.replay("a", to: "b:c"))
        }
    }

    @Test("an event names the endpoint, also if its identity begins with a mark that joins the colon")
    func endpointOfEvent() {
        for endpoint in ["a", "b:c", "", "\u{301}x:y"] {
            guard
                case .delivered(let found, let id, 1)? = WebhookSenderEvent(.delivered(id: "m:\(endpoint)", attempt: 1))
            else {
                Issue.record("another event")
                continue
            }
            #expect(found.utf8.elementsEqual(endpoint.utf8) && id == "m")
        }
    }

    @Test("without a retention nothing is kept of a delivered message")
    func nothingKept() throws {
        try Simulation.run(seeds: 0..<1) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let sender = fixture.sender { _ in WebhookResponse(status: 200) }
            try await fixture.commit(["msg_1"], to: ["a"])
            try await fixture.run(sender, in: simulation, for: .seconds(10))
            #expect(fixture.memory.usage.entries == 0)
            #expect(try await sender.replay(since: 0, to: "a") == 0)
        }
    }

    @Test("W35: the log stays within its count and age under a million attempts")
    func log() {
        var logs = AttemptLogs(capacity: 50, maxAge: .seconds(1000))
        func attempt(_ number: Int, at time: Int64) -> WebhookAttempt {
            WebhookAttempt(
                messageID: "m",
                type: "t",
                number: number,
                unixSeconds: time,
                duration: .zero,
                status: 200,
                error: nil,
                keyIDs: [],
                addressKind: .global,
                responseStart: []
            )
        }
        for number in 0..<1_000_000 {
            // Ten endpoints at a time, and a thousand in all.
            let id = "endpoint \(number / 10_000 * 10 + number % 10)"
            _ = logs.append(attempt(number, at: Int64(number)), of: id)
            if logs.attempts.count > 40 || logs.attempts[id]?.count ?? 0 > 50 {
                Issue.record("\(logs.attempts.mapValues(\.count)) at \(number)")
                break
            }
        }
        let last = "endpoint 999"
        #expect(logs.attempts[last]?.map(\.number) == (0..<50).map { 999_509 + 10 * $0 })
        logs.removeOld(of: last, at: 1_000_859)
        #expect(logs.attempts[last]?.map(\.number) == (0..<15).map { 999_859 + 10 * $0 })
        logs.removeOld(of: last, at: 2_000_000)
        #expect(logs.attempts[last] == nil)
    }

    @Test("a test event is one attempt without a record, also to a disabled endpoint, and changes no state")
    func testEvent() throws {
        try Simulation.run(seeds: 0..<1) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let sender = fixture.sender { sent in WebhookResponse(status: sent.id == "test" ? 500 : 410) }
            try await fixture.commit(["msg_1"], to: ["a"])
            try await fixture.run(sender, in: simulation, for: .seconds(10))
            let usage = fixture.memory.usage.entries
            for _ in 0..<10 {
                let message = try WebhookMessage("webhook.test", id: "test", payload: [])
                let attempt = await sender.test(message, to: try SenderFixture.endpoint("a"))
                #expect(attempt.status == 500 && attempt.error?.code == "webhook.status" && attempt.number == 1)
            }
            #expect(fixture.sent.events.count == 11 && fixture.memory.usage.entries == usage)
            #expect(sender.snapshot.endpoints.allSatisfy { $0.failures <= 1 })
        }
    }
}

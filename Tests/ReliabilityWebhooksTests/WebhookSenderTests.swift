import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityWebhooks

@Suite("WebhookSender", .compactMapIssues(Simulation.fail(on:)))
struct WebhookSenderTests {
    @Test("W25: every attempt has the same id and bytes, a new stamp, and a signature of each active key")
    func attempts() throws {
        try Simulation.run(seeds: 0..<5) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let keys = [WebhookSigner.Key(SenderFixture.otherSecret), .init(SenderFixture.secret, endsAt: .max)]
            let sender = fixture.sender(endpoints: { try SenderFixture.endpoint($0, keys: keys) }) { _ in
                WebhookResponse(status: fixture.sent.events.count < 4 ? 500 : 204)
            }
            try await fixture.commit(["msg_1"], to: ["a"])
            try await fixture.run(sender, in: simulation, for: .seconds(4 * 3600))
            let sent = fixture.sent.events
            try #require(sent.count == 4)
            #expect(Set(sent.map(\.id)) == ["msg_1"] && Set(sent.map(\.request.body)).count == 1)
            #expect(sent[0].request.body == Array(#"{"id":"msg_1"}"#.utf8))
            let times = sent.map { each in
                each.request.headerFields.first { $0.name == "webhook-timestamp" }.flatMap { Int64($0.value) }
            }
            #expect(times == sent.map { SenderFixture.start + $0.time.components.seconds } && Set(times).count == 4)
            for (each, time) in zip(sent, times) {
                for secret in [SenderFixture.secret, SenderFixture.otherSecret] {
                    let verifier = WebhookVerifier(.init(.standard, secrets: [.init("only", secret)])) { time ?? 0 }
                    let event = try verifier.verify(headers: each.request.headerFields, body: each.request.body)
                    #expect(event.id == "msg_1")
                }
            }
            let attempts = sender.attempts(of: "a")
            #expect(attempts.map(\.status) == [500, 500, 500, 204] && attempts.map(\.number) == [1, 2, 3, 4])
            #expect(attempts.allSatisfy { $0.keyIDs == keys.map(\.id) && $0.addressKind == .global })
            #expect(try await fixture.counts() == RecordCounts(pending: 0, deadLetters: 0))
        }
    }

    @Test("W26: the data and the records are committed together or not at all, whatever happens to the commit")
    func commits() async throws {
        let fixture = SenderFixture(ManualClock())
        let key = StoreKey("orders", "1")
        let message = try WebhookMessage("order.paid", id: "msg_1", payload: [1])
        let records = message.records(for: ["a", "b", "a"])
        func commit() async throws {
            try await fixture.outbox.commit([.put(key, [7], .never, if: .absent)], sending: records)
        }
        for fault in [StoreDouble.Fault.reject(.unavailable), .cancelBefore, .unknownOutcomeAfterApply, .cancelAfter] {
            fixture.store.failNext(.commit, with: fault)
            _ = await Task { try await commit() }.result
            let data = try await fixture.memory.get(key)
            let count = try await fixture.counts().pending
            #expect(data == nil ? count == 0 : count == 2, "\(fault)")
        }
        await #expect(throws: OutboxConflict.self) { try await commit() }
        #expect(try await fixture.counts().pending == 2)
    }

    @Test("W27: the waits are those of the list within a fifth, also with restarts and steps of the wall clock")
    func schedule() throws {
        try Simulation.run(seeds: 0..<2, maxSteps: 10_000_000) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let step = Lock(Int64(0))
            var configuration = WebhookSender.Configuration(failuresBeforeQuarantine: 100, disableAfter: nil)
            configuration.schedule = WebhookSender.Configuration.standardSchedule
            try await fixture.commit(["msg_1"], to: ["a"])
            while try await fixture.counts().pending > 0 {
                // A new sender is a new process.
                let sender = fixture.sender(
                    configuration,
                    unixSeconds: { fixture.unixSeconds + step.withLock { $0 } }
                ) { _ in WebhookResponse(status: 500) }
                try await fixture.run(sender, in: simulation, for: .seconds(simulation.random(in: 1...100_000)))
                step.withLock { $0 = Int64(simulation.random(in: -1_000_000...1_000_000)) }
            }
            let times = fixture.sent.events.map(\.time)
            try #require(times.count == 10)
            for (index, wait) in configuration.schedule.enumerated() {
                let actual = times[index + 1] - times[index]
                let isExpected = actual >= wait * 4 / 5 && actual <= wait * 6 / 5 + .milliseconds(10)
                #expect(isExpected, "the wait \(index) is \(actual)")
            }
            #expect(try await fixture.deadLetters() == ["msg_1:a": "webhook.status"])
        }
    }

    @Test("W27: the jitter spreads over the whole fifth in both directions")
    func jitter() throws {
        let ratios = Lock<[Double]>([])
        try Simulation.run(seeds: 0..<1, maxSteps: 1_000_000) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let configuration = WebhookSender.Configuration(
                schedule: [.seconds(100)],
                permitsPerEndpoint: 1000,
                failuresBeforeQuarantine: 1000
            )
            let sender = fixture.sender(configuration) { _ in WebhookResponse(status: 500) }
            try await fixture.commit((0..<200).map { "msg_\($0)" }, to: ["a"])
            try await fixture.run(sender, in: simulation, for: .seconds(300))
            for sent in Dictionary(grouping: fixture.sent.events, by: \.id).values {
                try #require(sent.count == 2)
                ratios.withLock { $0.append((sent[1].time - sent[0].time) / .seconds(100)) }
            }
        }
        let all = ratios.withLock { $0 }
        #expect(all.count == 200 && all.min().map { $0 < 0.83 } == true && all.max().map { $0 > 1.17 } == true)
    }

    @Test("W28: the wait is at least the scheduled wait and at most its double, and 60 s after 429 and a timeout")
    func retryAfter() throws {
        let table: [(Int, String?, ClosedRange<Int>)] = [
            (500, nil, 80...121), (500, "150", 150...151), (500, "1", 80...121), (500, "9999999999", 160...241),
            (429, nil, 80...121), (503, "Tue, 14 Nov 2023 22:15:30 GMT", 130...131),
        ]
        for (status, value, range) in table {
            try Simulation.run(seeds: 0..<3) { simulation in
                let fixture = SenderFixture(simulation.clock)
                let sender = fixture.sender(.init(schedule: [.seconds(100)])) { _ in
                    WebhookResponse(status: status, headerFields: value.map { [("Retry-After", $0)] } ?? [])
                }
                try await fixture.commit(["msg_1"], to: ["a"])
                try await fixture.run(sender, in: simulation, for: .seconds(1000))
                let times = fixture.sent.events.map(\.time)
                try #require(times.count == 2)
                let wait = times[1] - times[0]
                let isExpected = wait >= .seconds(range.lowerBound) && wait <= .seconds(range.upperBound)
                #expect(isExpected, "\(status) \(value ?? "-"): \(wait)")
            }
        }
        for isHanging in [true, false] {
            try Simulation.run(seeds: 0..<3) { simulation in
                let fixture = SenderFixture(simulation.clock)
                let sender = fixture.sender(.init(schedule: [.seconds(5)])) { _ in
                    if isHanging { try await simulation.clock.sleep(for: .seconds(1000)) }
                    return WebhookResponse(status: 429)
                }
                try await fixture.commit(["msg_1"], to: ["a"])
                try await fixture.run(sender, in: simulation, for: .seconds(400))
                let times = fixture.sent.events.map(\.time)
                try #require(times.count == 2)
                #expect(times[1] - times[0] >= .seconds(60), "\(times)")
            }
        }
    }

    @Test("W29: 410 disables at once and ends the endpoint's records with that reason, and others are delivered")
    func gone() throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let sender = fixture.sender { sent in WebhookResponse(status: sent.endpoint == "a" ? 410 : 204) }
            let ids = (0..<10).map { "msg_\($0)" }
            try await fixture.commit(ids, to: ["a", "b"])
            try await fixture.run(sender, in: simulation, for: .seconds(300))
            #expect(fixture.requests(to: "b").count == 10 && fixture.requests(to: "a").count <= 2)
            let dead = try await fixture.deadLetters()
            #expect(Set(dead.keys) == Set(ids.map { "\($0):a" }) && Set(dead.values) == ["webhook.gone"])
            // Another process does not call the endpoint either.
            let other = fixture.sender { _ in WebhookResponse(status: 204) }
            try await fixture.commit(["later"], to: ["a"])
            try await fixture.run(other, in: simulation, for: .seconds(10))
            #expect(try await fixture.deadLetters()["later:a"] == "webhook.gone")
            #expect(fixture.requests(to: "a").count <= 2)
        }
    }

    @Test("W29: 404 disables only if chosen, and a redirect is a failure that is never followed")
    func otherStatuses() throws {
        let table: [(Int, Set<Int>, String, Int)] = [
            (404, [410], "webhook.status", 2), (404, [404, 410], "webhook.gone", 1),
            (301, [410], "webhook.redirected", 2),
            (304, [410], "webhook.redirected", 2), (100, [410], "webhook.status", 2), (-1, [410], "webhook.status", 2),
        ]
        for (status, disabling, code, count) in table {
            try Simulation.run(seeds: 0..<2) { simulation in
                let fixture = SenderFixture(simulation.clock)
                let configuration = WebhookSender.Configuration(schedule: [.seconds(5)], disablingStatuses: disabling)
                let sender = fixture.sender(configuration) { _ in
                    WebhookResponse(status: status, headerFields: [("location", "http://169.254.169.254/")])
                }
                try await fixture.commit(["msg_1"], to: ["a"])
                try await fixture.run(sender, in: simulation, for: .seconds(60))
                #expect(try await fixture.deadLetters() == ["msg_1:a": code], "\(status)")
                #expect(
                    fixture.sent.events.map(\.request.target.host) == Array(repeating: "a.example.com", count: count)
                )
            }
        }
    }

    @Test("a message of an unknown endpoint is a dead letter, and a failing directory or store costs no attempt")
    func directory() throws {
        try Simulation.run(seeds: 0..<3) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let failures = Lock(20)
            let sender = fixture.sender(
                .init(schedule: [.seconds(5)]),
                endpoints: { id in
                    if id == "unknown" { return nil }
                    let fails = failures.withLock { count in
                        count -= 1
                        return count >= 0
                    }
                    if fails { throw TestError() }
                    return try SenderFixture.endpoint(id)
                }
            ) { _ in WebhookResponse(status: 200) }
            fixture.store.failNext(.get, with: .reject(.unavailable), .reject(.unavailable), .reject(.unavailable))
            try await fixture.commit(["msg_1"], to: ["unknown", "a"])
            try await fixture.run(sender, in: simulation, for: .seconds(3600))
            #expect(try await fixture.deadLetters() == ["msg_1:unknown": "webhook.unknown_endpoint"])
            #expect(sender.attempts(of: "a").map(\.number) == [1])
            #expect(try await fixture.counts().pending == 0)
        }
    }

    @Test("a sender that stops counts no attempt, and the message is delivered by the next sender")
    func stopping() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let configuration = WebhookSender.Configuration(schedule: [.seconds(5)])
            try await fixture.commit(["msg_1"], to: ["a"])
            for _ in 0..<5 {
                let sender = fixture.sender(configuration) { _ in
                    try await simulation.clock.sleep(for: .seconds(10))
                    return WebhookResponse(status: 200)
                }
                try await fixture.run(sender, in: simulation, for: .seconds(simulation.random(in: 1...8)))
                #expect(sender.attempts(of: "a") == [] && sender.snapshot.endpoints.allSatisfy { $0.failures == 0 })
            }
            let last = fixture.sender(configuration) { _ in WebhookResponse(status: 200) }
            try await fixture.run(last, in: simulation, for: .seconds(60))
            #expect(last.attempts(of: "a").map(\.number) == [1])
            #expect(try await fixture.counts() == RecordCounts(pending: 0, deadLetters: 0))
        }
    }

    @Test("types and identities of another form are rejected, and records of one message differ by the endpoint")
    func messages() throws {
        for type in ["", "a b", "a-b", "é", String(repeating: "a", count: 129)] {
            #expect(throws: WebhookDeliveryError.self) { try WebhookMessage(type, payload: []) }
        }
        for id in ["", "a.b", "a:b", "a\n"] {
            #expect(throws: WebhookDeliveryError.self) { try WebhookMessage("t", id: id, payload: []) }
        }
        let message = try WebhookMessage("order.paid", payload: [1])
        #expect(message.id.hasPrefix("msg_") && message.id.utf8.count == 36)
        let records = message.records(for: ["a", "b:c", "a"])
        #expect(records.map(\.id) == ["\(message.id):a", "\(message.id):b:c"])
        for (record, endpoint) in zip(records, ["a", "b:c"]) {
            let read = WebhookMessage.read(record)
            #expect(read?.message == message && read?.endpointID == endpoint)
        }
        #expect(WebhookMessage.read(OutboxMessage(topic: "t", payload: [])) == nil)
    }

    @Test("invalid fields of a configuration are reported with their values")
    func validation() {
        var configuration = WebhookSender.Configuration()
        #expect(problems(of: configuration.validate) == [])
        configuration.schedule = []
        configuration.timeLimit = .zero
        configuration.concurrency = 0
        configuration.permitsPerEndpoint = 0
        configuration.failuresBeforeQuarantine = 0
        configuration.probeInterval = .zero
        configuration.disableAfter = .zero
        configuration.addresses = WebhookAddressPolicy(ports: [], addressKinds: [])
        configuration.logCapacity = -1
        configuration.logAge = .zero
        configuration.replayRetention = .zero
        #expect(problems(of: configuration.validate).count == 12)
        configuration = .init(schedule: [.seconds(-1), .seconds(366 * 86_400)])
        #expect(problems(of: configuration.validate).count == 2)
    }
}

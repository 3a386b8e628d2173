import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import ReliabilityWebhooks

@Suite("Quarantine of endpoints", .compactMapIssues(Simulation.fail(on:)))
struct WebhookQuarantineTests {
    @Test("W30: an endpoint that hangs with 10,000 records delays another's fresh record by less than one time limit")
    func hanging() throws {
        try Simulation.run(seeds: 0..<1, maxSteps: 20_000_000) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let running = ConcurrencyCounter()
            let sender = fixture.sender(.init(concurrency: 8)) { sent in
                if sent.endpoint == "fresh" { return WebhookResponse(status: 200) }
                running.increment()
                defer { running.decrement() }
                try await simulation.clock.sleep(for: .seconds(3600))
                return WebhookResponse(status: 200)
            }
            for start in stride(from: 0, to: 10_000, by: 1000) {
                try await fixture.commit((start..<start + 1000).map { "msg_\($0)" }, to: ["hanging"])
            }
            let run = simulation.spawn { await sender.run() }
            for number in 0..<2 {
                let committed = fixture.elapsed
                try await fixture.commit(["fresh_\(number)"], to: ["fresh"])
                try await simulation.clock.sleep(for: .seconds(simulation.random(in: 20...60)))
                let sent = fixture.requests(to: "fresh")
                #expect(sent.count == number + 1)
                #expect(sent.last.map { $0.time - committed < .seconds(20) } == true)
            }
            #expect(running.peak == 2)
            run.cancel()
            _ = await run.result
        }
    }

    @Test("W31: records in quarantine lose no attempts, are probed singly, and are all delivered after recovery")
    func quarantine() throws {
        let events = Lock<[EventRecorder<WebhookSenderEvent>]>([])
        try Simulation.run(seeds: 0..<2, maxSteps: 10_000_000) { simulation in
            let fixture = SenderFixture(simulation.clock)
            events.withLock { $0.append(fixture.events) }
            let isDown = Lock(true)
            let running = ConcurrencyCounter()
            let sender = fixture.sender { _ in
                running.increment()
                defer { running.decrement() }
                try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 1...3000)))
                return WebhookResponse(status: isDown.withLock { $0 } ? 500 : 200)
            }
            let ids = (0..<100).map { "msg_\($0)" }
            try await fixture.commit(ids, to: ["a"])
            let run = simulation.spawn { await sender.run() }
            try await simulation.clock.sleep(for: .seconds(4 * 3600))
            let snapshot = sender.snapshot.endpoints
            try #require(snapshot.map(\.id) == ["a"])
            #expect(snapshot[0].probeAfter != nil && snapshot[0].failures > 40)
            let probes = fixture.sent.events.dropFirst(7)
            #expect(probes.count > 40)
            for (first, second) in zip(probes, probes.dropFirst()) {
                #expect(second.time - first.time >= .seconds(300), "\(first.time) \(second.time)")
            }
            isDown.withLock { $0 = false }
            try await simulation.clock.sleep(for: .seconds(3600))
            #expect(try await fixture.counts() == RecordCounts(pending: 0, deadLetters: 0))
            let delivered = sender.attempts(of: "a").filter { $0.status == 200 }
            #expect(delivered.allSatisfy { $0.number <= 2 } && running.peak == 2)
            #expect(sender.snapshot.endpoints == [])
            run.cancel()
            _ = await run.result
        }
        for recorder in events.withLock({ $0 }) {
            let names = recorder.events.compactMap { event -> String? in
                switch event {
                case .quarantined(let endpoint, let wait): "quarantined \(endpoint) \(wait)"
                case .restored(let endpoint): "restored \(endpoint)"
                default: nil
                }
            }
            #expect(names == ["quarantined a 300.0 seconds", "restored a"])
        }
    }

    @Test("W31: a new process begins with a probe of an endpoint that was in quarantine")
    func restart() throws {
        try Simulation.run(seeds: 0..<5) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let fail: @Sendable (SenderFixture.Sent) async throws -> WebhookResponse = { _ in
                try await simulation.clock.sleep(for: .seconds(1))
                return WebhookResponse(status: 500)
            }
            try await fixture.commit((0..<50).map { "msg_\($0)" }, to: ["a"])
            try await fixture.run(fixture.sender(transport: fail), in: simulation, for: .seconds(200))
            let count = fixture.sent.events.count
            #expect((5...7).contains(count))
            let second = fixture.sender(transport: fail)
            try await fixture.run(second, in: simulation, for: .seconds(290))
            #expect(fixture.sent.events.count == count + 1)
            #expect(second.attempts(of: "a").map(\.number) == [1])
        }
    }

    @Test("an endpoint that only fails is reported after half of the time and disabled at its end, once each")
    func disabling() throws {
        let recorder = Lock<EventRecorder<WebhookSenderEvent>?>(nil)
        try Simulation.run(seeds: 0..<1, maxSteps: 10_000_000) { simulation in
            let fixture = SenderFixture(simulation.clock)
            recorder.withLock { $0 = fixture.events }
            let isDown = Lock(true)
            let sender = fixture.sender(.init(disableAfter: .seconds(86_400))) { _ in
                WebhookResponse(status: isDown.withLock { $0 } ? 500 : 200)
            }
            try await fixture.commit((0..<10).map { "msg_\($0)" }, to: ["a"])
            let run = simulation.spawn { await sender.run() }
            try await simulation.clock.sleep(for: .seconds(86_000))
            #expect(try await fixture.counts() == RecordCounts(pending: 10, deadLetters: 0))
            try await simulation.clock.sleep(for: .seconds(2000))
            #expect(Set(try await fixture.deadLetters().values) == ["webhook.disabled"])
            #expect(try await fixture.counts() == RecordCounts(pending: 0, deadLetters: 10))
            // After the endpoint is enabled, the dead letters are delivered if asked for.
            isDown.withLock { $0 = false }
            let disabledAt = try await sender.enable("a")
            #expect(disabledAt.map { $0 >= SenderFixture.start + 86_400 } == true)
            #expect(try await sender.enable("a") == nil)
            #expect(try await sender.replay(since: 0, to: "b") == 0)
            #expect(try await sender.replay(since: disabledAt ?? 0, to: "a") == 10)
            try await simulation.clock.sleep(for: .seconds(600))
            #expect(try await fixture.counts() == RecordCounts(pending: 0, deadLetters: 0))
            run.cancel()
            _ = await run.result
        }
        let names = (recorder.withLock { $0?.events } ?? []).compactMap { event -> String? in
            switch event {
            case .failing(let endpoint, let since): "failing \(endpoint) \(since)"
            case .disabled(let endpoint, let reason): "disabled \(endpoint) \(reason)"
            default: nil
            }
        }
        #expect(names == ["failing a \(SenderFixture.start)", "disabled a failed"])
    }

    @Test("a success of an endpoint ends the time of only failures")
    func success() throws {
        try Simulation.run(seeds: 0..<1, maxSteps: 10_000_000) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let sender = fixture.sender(.init(disableAfter: .seconds(86_400))) { sent in
                WebhookResponse(status: sent.id?.hasPrefix("good") == true ? 200 : 500)
            }
            let run = simulation.spawn { await sender.run() }
            for hour in 0..<40 {
                try await fixture.commit(["bad_\(hour)", "good_\(hour)"], to: ["a"])
                try await simulation.clock.sleep(for: .seconds(3600))
            }
            #expect(Set(try await fixture.deadLetters().values).isSubset(of: ["webhook.status"]))
            let good = fixture.requests(to: "a").filter { $0.id?.hasPrefix("good") == true }
            #expect(good.count >= 38 && good.count == Set(good.map(\.id)).count, "\(good.count)")
            run.cancel()
            _ = await run.result
        }
    }

    @Test("an attempt that began before a success of the endpoint does not disable the endpoint at its failure")
    func lateFailure() throws {
        let recorder = Lock<EventRecorder<WebhookSenderEvent>?>(nil)
        try Simulation.run(seeds: 0..<5) { simulation in
            let fixture = SenderFixture(simulation.clock)
            recorder.withLock { $0 = fixture.events }
            let configuration = WebhookSender.Configuration(schedule: [.seconds(5000)], disableAfter: .seconds(100))
            let sender = fixture.sender(configuration) { sent in
                if sent.id == "slow" { try await simulation.clock.sleep(for: .seconds(10)) }
                return WebhookResponse(status: sent.id == "good" ? 200 : 500)
            }
            let run = simulation.spawn { await sender.run() }
            for id in ["first", "slow", "good"] {
                try await fixture.commit([id], to: ["a"])
                try await simulation.clock.sleep(for: .seconds(id == "first" ? 199 : 1))
            }
            try await simulation.clock.sleep(for: .seconds(60))
            #expect(fixture.sent.events.map(\.id).prefix(3) == ["first", "slow", "good"])
            #expect(try await fixture.counts() == RecordCounts(pending: 2, deadLetters: 0))
            run.cancel()
            _ = await run.result
        }
        let isDisabled = (recorder.withLock { $0?.events } ?? []).contains {
            if case .disabled = $0 { true } else { false }
        }
        #expect(!isDisabled)
    }

    @Test("the longest times of a configuration do not trap")
    func longestTimes() throws {
        try Simulation.run(seeds: 0..<2) { simulation in
            let fixture = SenderFixture(simulation.clock)
            let longest = Duration.seconds(Int64.max) * 10
            let fail: @Sendable (SenderFixture.Sent) -> WebhookResponse = { _ in WebhookResponse(status: 500) }
            try await fixture.commit(["msg_1"], to: ["a"])
            let first = fixture.sender(.init(failuresBeforeQuarantine: 1), transport: fail)
            // The first probe is within the spread of the waits since the beginning of the clock.
            try await fixture.run(first, in: simulation, for: .seconds(3))
            let configuration = WebhookSender.Configuration(timeLimit: longest, probeInterval: longest)
            let second = fixture.sender(configuration, transport: fail)
            try await fixture.run(second, in: simulation, for: .seconds(400))
            #expect(fixture.sent.events.count == 2)
            #expect(second.snapshot.endpoints.allSatisfy { $0.probeAfter ?? .zero > .seconds(1_000_000) })
        }
    }

    @Test("429, 502 and 504 delay all records of the endpoint and of no other")
    func slow() throws {
        for status in [429, 502, 504] {
            try Simulation.run(seeds: 0..<3) { simulation in
                let fixture = SenderFixture(simulation.clock)
                let sender = fixture.sender { sent in
                    WebhookResponse(status: sent.endpoint == "a" && sent.time < .seconds(30) ? status : 200)
                }
                let run = simulation.spawn { await sender.run() }
                try await fixture.commit(["first"], to: ["a", "b"])
                try await simulation.clock.sleep(for: .seconds(10))
                try await fixture.commit(["second"], to: ["a", "b"])
                try await simulation.clock.sleep(for: .seconds(200))
                #expect(fixture.requests(to: "b").map(\.time) == [.zero, .seconds(10)])
                let times = fixture.requests(to: "a").map(\.time)
                #expect(times.count == 3 && times[0] == .zero && times[1] >= .seconds(60), "\(times)")
                #expect(sender.attempts(of: "a").filter { $0.messageID == "second" }.map(\.number) == [1])
                run.cancel()
                _ = await run.result
            }
        }
    }
}

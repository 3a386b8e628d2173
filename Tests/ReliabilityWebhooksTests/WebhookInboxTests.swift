import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Retry
import TestSupport
import Testing

@testable import ReliabilityWebhooks

@Suite("WebhookInbox")
struct WebhookInboxTests {
    private static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    private static let key: [UInt8] = decodeBase64(secret.utf8.dropFirst(6)) ?? []
    private static let time: Int64 = 1_700_000_000
    private static let day = Duration.seconds(86_400)

    private let clock = ManualClock()
    private let memory: InMemoryStore
    private let double: StoreDouble
    private let outbox: OutboxQueue
    private let events = EventRecorder<WebhookInboxEvent>()

    init() {
        memory = InMemoryStore(clock: clock)
        double = StoreDouble(memory)
        outbox = OutboxQueue("webhooks", store: double, storeFailure: .failClosed())
    }

    private func inbox(
        _ source: String = "shop",
        _ scheme: WebhookScheme = .standard,
        secret: String = secret,
        types: Set<String>? = nil,
        retention: Duration = .seconds(40 * 86_400)
    ) -> WebhookInbox {
        let verifier = WebhookVerifier(.init(scheme, secrets: [.init("current", secret)])) { Self.time }
        let events = events
        return WebhookInbox(.init(source, types: types, retention: retention), verifier, outbox: outbox) {
            events.record($0)
        }
    }

    private func signed(_ id: String, _ body: String) -> ([(name: String, value: String)], [UInt8]) {
        let parts = [Array("\(id).\(Self.time).".utf8), Array(body.utf8)]
        let code = base64Text(of: HMACSHA256(key: Self.key).code(for: parts))
        return (
            [("webhook-id", id), ("webhook-timestamp", "\(Self.time)"), ("webhook-signature", "v1,\(code)")],
            Array(body.utf8)
        )
    }

    private func accept(_ inbox: WebhookInbox, _ message: ([(name: String, value: String)], [UInt8])) async
        -> WebhookAnswer
    {
        await inbox.accept(headers: message.0, body: message.1)
    }

    private func stored() async throws -> [WebhookEvent] {
        try await memory.page("webhooks", .pending, after: nil, limit: 100).records
            .compactMap { OutboxMessage($0).flatMap { WebhookEvent($0) } }
    }

    @Test("a message is stored once with its identity, type and bytes, and the provider gets 204 each time")
    func stores() async throws {
        let inbox = inbox()
        let message = signed("msg_1", #"{"type":"paid"}"#)
        for outcome in [WebhookAnswer.Outcome.accepted, .duplicate, .duplicate] {
            let answer = await accept(inbox, message)
            #expect(answer.outcome == outcome && answer.status == 204 && answer.body == [])
        }
        let event = try #require(try await stored().first)
        #expect(try await stored().count == 1)
        #expect(event.id == "msg_1" && event.type == "paid" && event.isTypeSigned && event.body == message.1)
        #expect(event.timestamp == Self.time && event.clockOffset == 0 && event.secretName == "current")
    }

    @Test("W12: equal identities of two sources are two messages, also if the names and identities run together")
    func sources() async throws {
        for (source, id) in [("a", "bc"), ("ab", "c"), ("a", "b"), ("live", "1"), ("test", "1")] {
            #expect(await accept(inbox(source), signed(id, "{}")).outcome == .accepted, "\(source) \(id)")
        }
        #expect(try await stored().count == 5)
    }

    @Test("W13: a signed body with another delivery id is a duplicate, and with another type is not the first message")
    func bodyOnlySchemes() async throws {
        let github = inbox("hub", .github, secret: "mysecret")
        let body = Array(#"{"a":1}"#.utf8)
        let code = HMACSHA256(key: Array("mysecret".utf8)).code(for: [body])
        let hexadecimal = code.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        func deliver(_ id: String, _ type: String) async -> WebhookAnswer {
            await github.accept(
                headers: [
                    ("x-hub-signature-256", "sha256=\(hexadecimal)"), ("x-github-event", type),
                    ("x-github-delivery", id),
                ],
                body: body
            )
        }
        #expect(await deliver("1", "push").outcome == .accepted)
        #expect(await deliver("2", "push").outcome == .duplicate)
        let other = await deliver("1", "delete")
        #expect(other.outcome == .conflicting && other.status == 409)
        #expect(try await stored().map(\.type) == ["push"])
    }

    @Test("W14: of equal requests at the same time one is stored, and all get a success")
    func simultaneous() async throws {
        let inbox = inbox()
        let message = signed("msg_1", "{}")
        let outcomes = await withTaskGroup(of: WebhookAnswer.Outcome.self) { group in
            for _ in 0..<20 { group.addTask { await accept(inbox, message).outcome } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == .accepted } == 1 && outcomes.count { $0 == .duplicate } == 19)
        #expect(try await stored().count == 1)
    }

    @Test("W15: after a lost commit the repeated delivery is stored, and after a lost answer it is a duplicate")
    func crashes() async throws {
        let inbox = inbox()
        double.failNext(.commit, with: .reject(.unavailable))
        #expect(await accept(inbox, signed("msg_1", "{}")).status == 503)
        #expect(try await stored() == [])
        #expect(await accept(inbox, signed("msg_1", "{}")).outcome == .accepted)
        double.failNext(.commit, with: .unknownOutcomeAfterApply)
        #expect(await accept(inbox, signed("msg_2", "{}")).status == 503)
        #expect(await accept(inbox, signed("msg_2", "{}")).outcome == .duplicate)
        #expect(try await stored().count == 2)
    }

    @Test("W16: a handled message is a duplicate until the retention ends, and then new")
    func retention() async throws {
        let inbox = inbox(retention: Self.day * 5)
        _ = await accept(inbox, signed("msg_1", "{}"))
        let claims = try await memory.claim("webhooks", limit: 1, lease: .seconds(60))
        _ = try await memory.settle(claims.map { Settlement($0, .done) })
        clock.advance(by: Self.day * 5 - .seconds(1))
        #expect(await accept(inbox, signed("msg_1", "{}")).outcome == .duplicate)
        clock.advance(by: .seconds(1))
        #expect(await accept(inbox, signed("msg_1", "{}")).outcome == .accepted)
    }

    @Test("W3: a mark outlives the tolerance also after a reload of the verifier")
    func retentionAfterReload() async throws {
        let inbox = inbox(retention: Self.day * 4 + .seconds(600))
        var configuration = inbox.verifier.configuration
        configuration.tolerance = Self.day
        try inbox.verifier.reload(configuration)
        _ = await accept(inbox, signed("msg_1", "{}"))
        let claims = try await memory.claim("webhooks", limit: 1, lease: .seconds(60))
        _ = try await memory.settle(claims.map { Settlement($0, .done) })
        clock.advance(by: Self.day * 6 - .seconds(1))
        #expect(await accept(inbox, signed("msg_1", "{}")).outcome == .duplicate)
        clock.advance(by: .seconds(1))
        #expect(await accept(inbox, signed("msg_1", "{}")).outcome == .accepted)
    }

    @Test("W17: a store that is down, full or of unknown outcome is a 503 with retry-after, and never a success")
    func outages() async throws {
        let inbox = inbox()
        let faults: [StoreDouble.Fault] = [
            .reject(.unavailable), .reject(.diskFull), .reject(.failed), .reject(.unknownOutcome),
            .unknownOutcomeAfterApply,
        ]
        for (index, fault) in faults.enumerated() {
            double.failNext(.commit, with: fault)
            let answer = await accept(inbox, signed("msg_\(index)", "{}"))
            #expect(answer.status == 503 && answer.outcome == .unavailable, "\(fault)")
            #expect(answer.headerFields.contains { $0.name == "retry-after" }, "\(fault)")
        }
    }

    @Test("a message that the store can never hold is a 413, and the largest message that fits is stored")
    func largerThanTheStore() async throws {
        let inbox = inbox()
        let message = signed("msg_1", String(repeating: " ", count: 1 << 20))
        let answer = await accept(inbox, message)
        #expect(answer.outcome == .rejected && answer.status == 413)
        guard case .rejected(let error)? = await events.wait(for: 1).first, case .tooLarge(let limit) = error.reason
        else {
            Issue.record("no rejection for the size")
            return
        }
        #expect(await accept(inbox, signed("msg_1", String(repeating: " ", count: limit + 1))).status == 413)
        #expect(await accept(inbox, signed("msg_1", String(repeating: " ", count: limit))).outcome == .accepted)
    }

    @Test("W18: a failing handler does not unmark the message, and its dead letter has all bytes")
    func failingHandler() async throws {
        let inbox = inbox()
        let message = signed("msg_1", #"{"type":"paid"}"#)
        #expect(await accept(inbox, message).outcome == .accepted)
        let attempts = EventRecorder<WebhookEvent>()
        let relay = OutboxRelay(
            .init(maxAttempts: 2, backoff: .constant(.zero, jitter: .none)),
            queue: outbox,
            clock: clock
        ) { delivery in
            if let event = WebhookEvent(delivery.message) { attempts.record(event) }
            throw StoreError(.failed, "the handler fails")
        }
        let run = Task { await relay.run() }
        #expect(await attempts.wait(for: 2).allSatisfy { $0.body == message.1 })
        relay.drain()
        await run.value
        let dead = try await memory.page("webhooks", .deadLetter, after: nil, limit: 10).records
        #expect(dead.compactMap { OutboxMessage($0).flatMap { WebhookEvent($0)?.body } } == [message.1])
        #expect(await accept(inbox, message).outcome == .duplicate)
    }

    @Test("W22: an older event after a newer one has no effect, in one commit, and equal times are not decided")
    func newestWins() async throws {
        let object = StoreKey("objects", "1")
        func apply(_ time: UInt8, _ state: UInt8) async throws -> String {
            while true {
                let found = try await memory.get(object)
                if let found, found.value[0] == time { return "undecided" }
                if let found, found.value[0] > time { return "skipped" }
                let condition: WriteCondition = found.map { .version($0.version) } ?? .absent
                if case .committed = try await memory.commit(.put(object, [time, state], .never, if: condition)) {
                    return "applied"
                }
            }
        }
        var results: [String] = []
        for (time, state) in [(2, 20), (1, 10), (2, 21), (3, 30)] as [(UInt8, UInt8)] {
            results.append(try await apply(time, state))
        }
        #expect(results == ["applied", "skipped", "undecided", "applied"])
        #expect(try await memory.get(object)?.value == [3, 30])
    }

    @Test("W23: a challenge is answered after the verification only, within a bound, as plain text")
    func challenge() async throws {
        let slack = inbox("slack", .slack, secret: "8f742231b10e8888abcd99yyyzzz85a5")
        func deliver(_ challenge: String, secret: String = "8f742231b10e8888abcd99yyyzzz85a5") async -> WebhookAnswer {
            let body = Array(#"{"type":"url_verification","challenge":"\#(challenge)"}"#.utf8)
            let parts = [Array("v0:\(Self.time):".utf8), body]
            let code = hexadecimalText(of: HMACSHA256(key: Array(secret.utf8)).code(for: parts))
            return await slack.accept(
                headers: [("x-slack-request-timestamp", "\(Self.time)"), ("x-slack-signature", "v0=\(code)")],
                body: body
            )
        }
        let answer = await deliver("<script>3eZbrw1aB")
        #expect(answer.outcome == .challenged && answer.status == 200)
        #expect(answer.body == Array("<script>3eZbrw1aB".utf8))
        #expect(answer.headerFields.contains { $0 == ("content-type", "text/plain; charset=utf-8") })
        #expect(answer.headerFields.contains { $0 == ("x-content-type-options", "nosniff") })
        #expect(await deliver("3eZbrw1aB", secret: "another secret").status == 401)
        #expect(await deliver(String(repeating: "a", count: 256)).status == 401)
        #expect(try await stored() == [])
    }

    @Test("W19: a retention below the time of the provider's repetitions is refused with both figures")
    func shortRetention() {
        let verifier = WebhookVerifier.Configuration(.standard, secrets: [.init("a", Self.secret)])
        let configuration = WebhookInbox.Configuration("a", retention: .seconds(300))
        let problems = problems { try configuration.validate(for: verifier) }
        #expect(problems.count == 1 && problems[0].contains("346200") && problems[0].contains("300"))
        var right = configuration
        right.retention = .seconds(4 * 86_400 + 600)
        #expect(TestSupport.problems { try right.validate(for: verifier) } == [])
    }

    @Test("W20: a message of another type is not stored and gets a success")
    func otherTypes() async throws {
        let inbox = inbox(types: ["paid"])
        for body in [#"{"type":"other"}"#, "{}", "text"] {
            let answer = await accept(inbox, signed("msg_1", body))
            #expect(answer.outcome == .ignored && answer.status == 204)
        }
        #expect(try await stored() == [])
        #expect(await accept(inbox, signed("msg_1", #"{"type":"paid"}"#)).outcome == .accepted)
    }

    @Test("W20: a text of a user does not hide the type of a message, whatever its characters, keys and depth")
    func textsOfUsers() async throws {
        let inbox = inbox(types: ["paid"])
        let deep = String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000)
        let values = [
            #""\u0000""#, #""\ud800""#, #"{"a":1,"a":2}"#, #"{"type":"other"}"#, #""}\"{,\\""#, "-1e999", "[ ]", "{ }",
            "null", deep,
        ]
        for (index, value) in values.enumerated() {
            let before = signed("before_\(index)", "{\"note\" : \(value) ,\"type\":\"paid\"}")
            #expect(await accept(inbox, before).outcome == .accepted, "\(value)")
            let after = signed("after_\(index)", " {\"t\\u0079pe\" : \"p\\u0061id\",\"note\":\(value)}\n")
            #expect(await accept(inbox, after).outcome == .accepted, "\(value)")
        }
        let none = [
            #"{"type":"paid","type":"paid"}"#, #"{"type":"paid""#, #"{"type":"paid","note"}"#, #"{"type":"paid",}"#,
            #"{"type":"paid","note":}"#, #"{"type":"paid","note":"\"#, #"{"type":["paid"]}"#, #"["type","paid"]"#, "",
            #"{"type":"paid","note":]}"#, #"{"type":"#, #"{"data":{"type":"paid"}}"#, #"{"type":"paid\u0000"}"#,
        ]
        for (index, body) in none.enumerated() {
            #expect(await accept(inbox, signed("none_\(index)", body)).outcome == .ignored, "\(body)")
        }
    }

    @Test("W21: the identity of an earlier message with other bytes is a 409, and the first message stays")
    func otherBytes() async throws {
        let inbox = inbox()
        _ = await accept(inbox, signed("msg_1", #"{"a":1}"#))
        let answer = await accept(inbox, signed("msg_1", #"{"a":2}"#))
        #expect(answer.outcome == .conflicting && answer.status == 409)
        #expect(try await stored().map(\.body) == [Array(#"{"a":1}"#.utf8)])
    }

    @Test("W24: the answer to a rejected message is the same for every reason, and no event contains a header value")
    func rejections() async throws {
        let inbox = inbox()
        let (headers, body) = signed("msg_1", "{}")
        var wrong = headers
        wrong[2].value = "v1,SIGNATURE"
        let first = await inbox.accept(headers: wrong, body: body)
        let second = await inbox.accept(headers: [], body: body)
        #expect(first.status == 401 && second.status == 401)
        #expect(await events.wait(for: 2).allSatisfy { !"\($0)".contains("SIGNATURE") })
        #expect(try await stored() == [])
    }
}

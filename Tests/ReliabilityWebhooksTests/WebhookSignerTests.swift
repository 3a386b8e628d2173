import ReliabilityCore
import ReliabilityWebhooks
import Testing

@Suite("WebhookSigner")
struct WebhookSignerTests {
    private static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    private static let newSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    private static let time: Int64 = 1_614_265_330

    private func signer(_ scheme: WebhookScheme = .standard, _ keys: [WebhookSigner.Key]) throws -> WebhookSigner {
        try WebhookSigner(scheme, keys: keys)
    }

    private func value(_ name: String, _ fields: [(name: String, value: String)]) -> String? {
        fields.first { $0.name == name }?.value
    }

    private func verifies(
        _ fields: [(name: String, value: String)],
        _ body: [UInt8],
        _ scheme: WebhookScheme,
        _ secret: String
    ) -> Bool {
        let verifier = WebhookVerifier(.init(scheme, secrets: [.init("only", secret)])) { Self.time }
        return (try? verifier.verify(headers: fields, body: body)) != nil
    }

    @Test("the signatures are those of the published vectors")
    func vectors() throws {
        let standard = try signer(.standard, [.init(Self.secret)])
        let spec = try standard.headerFields(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            unixSeconds: Self.time,
            body: Array(#"{"test": 2432232314}"#.utf8)
        )
        #expect(value("webhook-id", spec) == "msg_p5jXN8AQM9LWM0D4loKWxJek")
        #expect(value("webhook-timestamp", spec) == "1614265330")
        #expect(value("webhook-signature", spec) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        let bytes = try standard.headerFields(id: "msg_1", unixSeconds: Self.time, body: [0xff, 0x00, 0x0d, 0x0a])
        #expect(value("webhook-signature", bytes) == "v1,+gt4h1uMMIX27msOA3m5YKNsosADCo8bDj0IlmKWffQ=")
        let stripe = try signer(.stripe, [.init("whsec_test_secret")]).headerFields(
            id: "evt_1",
            unixSeconds: Self.time,
            body: Array(#"{"id":"evt_1","type":"t"}"#.utf8)
        )
        let code = "081bbfc08840b2c7bc8ceea5ca83c4a7fe546a791ae7f39ffb09e03c1fe144cb"
        #expect(stripe.count == 1 && value("stripe-signature", stripe) == "t=1614265330,v1=\(code)")
    }

    @Test("W34: during a rotation either key verifies, after its end only the new key", arguments: [true, false])
    func rotation(isStandard: Bool) throws {
        let scheme = isStandard ? WebhookScheme.standard : .stripe
        let body = Array(#"{"id":"evt_1","type":"t"}"#.utf8)
        let old = try signer(scheme, [.init(Self.secret)])
        let during = try old.rotating(to: Self.newSecret, endingOthersAt: Self.time + 1)
        let both = try during.headerFields(id: "msg_1", unixSeconds: Self.time, body: body)
        #expect(verifies(both, body, scheme, Self.secret) && verifies(both, body, scheme, Self.newSecret))
        #expect(during.activeKeys(at: Self.time).map(\.id) == during.keys.map(\.id))
        #expect(during.keys.map(\.id).last == old.keys[0].id)
        let after = try old.rotating(to: Self.newSecret, endingOthersAt: Self.time)
            .headerFields(id: "msg_1", unixSeconds: Self.time, body: body)
        #expect(!verifies(after, body, scheme, Self.secret) && verifies(after, body, scheme, Self.newSecret))
        let later = try during.rotating(to: "whsec_" + String(repeating: "A", count: 32), endingOthersAt: .max)
        #expect(later.keys.map(\.endsAt) == [nil, .max, Self.time + 1])
    }

    @Test("W34: removing the last key is rejected, and so is removing the only key without an end")
    func removing() throws {
        let one = try signer(.standard, [.init(Self.secret)])
        #expect(throws: ConfigurationError.self) { try one.removing(one.keys[0].id) }
        let two = try one.rotating(to: Self.newSecret, endingOthersAt: Self.time)
        #expect(throws: ConfigurationError.self) { try two.removing(two.keys[0].id) }
        #expect(try two.removing(one.keys[0].id).keys.map(\.id) == [two.keys[0].id])
    }

    @Test("an identity with a period, white space or a line break and a time outside of its range are rejected")
    func identities() throws {
        let signer = try signer(.standard, [.init(Self.secret)])
        for id in ["a.1", "", "a b", "a\r\nx: y", "é", String(repeating: "a", count: 101)] {
            #expect(throws: WebhookDeliveryError.self, "\(id)") {
                try signer.headerFields(id: id, unixSeconds: Self.time, body: [])
            }
        }
        for time in [-1, Int64.min, 1_000_000_000_000, .max] {
            #expect(throws: WebhookDeliveryError.self) {
                try signer.headerFields(id: "a", unixSeconds: time, body: [])
            }
        }
        #expect(try signer.headerFields(id: "msg_A-1", unixSeconds: 0, body: []).count == 3)
    }

    @Test("secrets that are short, repeated, of another kind or too many are rejected")
    func secrets() throws {
        let many = (0..<11).map {
            WebhookSigner.Key("whsec_" + String(repeating: "AB\($0 % 10)D", count: 8) + "AAA\($0 / 10)")
        }
        let lists: [[WebhookSigner.Key]] = [
            [], [.init("")], [.init("whsec_AAAA")], [.init("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
            [.init(Self.secret), .init(Self.secret)], [.init(Self.secret, endsAt: 5)], many,
        ]
        for keys in lists {
            #expect(throws: ConfigurationError.self) { try WebhookSigner(keys: keys) }
        }
        #expect(throws: ConfigurationError.self) { try WebhookSigner(.github, keys: [.init(Self.secret)]) }
        #expect(try WebhookSigner(keys: Array(many.prefix(10))).keys.count == 10)
    }

    @Test("a secret appears in no description, dump or error, and the identity of a key has eight digits")
    func secrecy() throws {
        let key = WebhookSigner.Key(Self.secret)
        let signer = try signer(.standard, [key, .init(Self.newSecret)])
        var texts = ["\(key)", "\(signer)", String(reflecting: signer), "\(Optional(signer) as Any)", "\([key])"]
        var dumped = ""
        dump(signer, to: &dumped)
        dump(key, to: &dumped)
        texts.append(dumped)
        do { _ = try WebhookSigner(keys: [key, key]) } catch { texts.append("\(error)") }
        for text in texts {
            #expect(!text.contains("MfKQ9r8G") && !text.contains("C2FVsBQI"), "\(text)")
        }
        #expect(key.id.utf8.count == 8 && key.id.utf8.allSatisfy { Character(UnicodeScalar($0)).isHexDigit })
    }
}

import ReliabilityCore
import ReliabilityWebhooks
import TestSupport
import Testing

/// Returns the text of all mirrors of a value.
private func dumped(_ value: some Any) -> String {
    var text = ""
    dump(value, to: &text)
    return text
}

@Suite("Mirrors of values with secrets")
struct SecretMirrorTests {
    @Test("W24: no mirror contains the text of a secret or the URL of an endpoint")
    func mirrors() throws {
        let secret = SenderFixture.secret
        let configuration = WebhookVerifier.Configuration(.standard, secrets: [.init("current", secret)])
        let endpoint = try SenderFixture.endpoint("a")
        for text in [dumped(configuration), dumped(WebhookVerifier(configuration)), dumped(endpoint)] {
            #expect(!text.contains(secret.dropFirst(6)) && !text.contains("hidden"), "\(text)")
        }
        #expect(dumped(configuration).contains("current") && dumped(endpoint).contains("- id: \"a\""))
    }
}

@Suite("WebhookVerifier")
struct WebhookVerifierTests {
    private let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    private let other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    private let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    private let body = Array(#"{"test": 2432232314}"#.utf8)
    private let sent: Int64 = 1_614_265_330

    private func verifier(_ secrets: [String], at time: Int64) -> WebhookVerifier {
        let secrets = secrets.enumerated().map { WebhookVerifier.Secret("s\($0.offset)", $0.element) }
        return WebhookVerifier(.init(.standard, secrets: secrets)) { time }
    }

    private func headers(
        id: String = "msg_p5jXN8AQM9LWM0D4loKWxJek",
        time: String = "1614265330",
        signatures: [String]
    ) -> [(name: String, value: String)] {
        [("Webhook-Id", id), ("WEBHOOK-TIMESTAMP", time)] + signatures.map { ("webhook-signature", $0) }
    }

    private func reason(
        _ headers: [(name: String, value: String)],
        body: [UInt8]? = nil,
        _ verifier: WebhookVerifier? = nil
    ) -> WebhookError.Reason? {
        do throws(WebhookError) {
            _ = try (verifier ?? self.verifier([secret], at: sent)).verify(headers: headers, body: body ?? self.body)
            return nil
        } catch {
            return error.reason
        }
    }

    /// Signs a message of Stripe, whose signed bytes hold any time.
    private func stripe(_ time: String, _ body: String, secret: String = "whsec_test_secret") -> [(
        name: String, value: String
    )] {
        let code = HMACSHA256(key: Array(secret.utf8)).code(for: [Array("\(time).\(body)".utf8)])
        return [("stripe-signature", "t=\(time),v1=\(hexadecimal(code))")]
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    @Test(
        "W2: a time that is not 1 to 12 decimal digits is malformed",
        arguments: [
            "+1614265330", " 1614265330", "1614265330 ", "1614265330.0", "1e9", "0x1", "nan", "١", "-1",
            "16142653301614265330",
        ]
    )
    func times(text: String) {
        #expect(reason(headers(time: text, signatures: [signature])) == .malformedHeader("webhook-timestamp"))
        let stripe = WebhookVerifier(.init(.stripe, secrets: [.init("a", "whsec_test_secret")])) { 0 }
        #expect(reason(self.stripe(text, "{}"), body: Array("{}".utf8), stripe) == .malformedHeader("stripe-signature"))
    }

    @Test("W3: a difference of 300 s is accepted and of 301 s rejected, in both directions")
    func window() {
        let fields = headers(signatures: [signature])
        #expect(reason(fields, verifier([secret], at: sent + 300)) == nil)
        #expect(reason(fields, verifier([secret], at: sent - 300)) == nil)
        #expect(reason(fields, verifier([secret], at: sent + 301)) == .tooOld(seconds: 301))
        #expect(reason(fields, verifier([secret], at: sent - 301)) == .tooNew(seconds: 301))
        #expect(reason(fields, verifier([secret], at: .max)) == .tooOld(seconds: .max - sent))
        #expect(reason(fields, verifier([secret], at: .min)) == .tooNew(seconds: .max))
    }

    @Test("W4: only an authentic message learns of the time, and every rejection looks the same to the client")
    func equalRejections() {
        let late = verifier([secret], at: sent + 10_000)
        var changed = body
        changed[0] ^= 1
        let fields = headers(signatures: [signature])
        #expect(reason(fields, body: changed, late) == .mismatch)
        #expect(reason(fields, late) == .tooOld(seconds: 10_000))
        var answers: Set<String> = []
        for (fields, body) in [(fields, changed), (fields, body), ([], body), (headers(signatures: ["x"]), body)] {
            do throws(WebhookError) { _ = try late.verify(headers: fields, body: body) } catch {
                answers.insert("\(error.category) \(error.code) \(error.message) \(error.details)")
            }
        }
        #expect(answers.count == 1)
    }

    @Test("W5: a good signature verifies among unreadable, long and many entries within the limit")
    func entries() {
        for bad in ["v1", "v1,", "v1,!!", "v2,abc", ",", "v1a,abc", String(repeating: "x", count: 1_000_000)] {
            #expect(reason(headers(signatures: ["\(bad) \(signature)"])) == nil, "\(bad.prefix(10))")
            #expect(reason(headers(signatures: ["\(signature) \(bad)"])) == nil, "\(bad.prefix(10))")
            #expect(reason(headers(signatures: [bad, signature])) == nil, "\(bad.prefix(10))")
            #expect(reason(headers(signatures: [bad])) == .mismatch, "\(bad.prefix(10))")
        }
        let wrong = "v1,+gt4h1uMMIX27msOA3m5YKNsosADCo8bDj0IlmKWffQ="
        let many = Array(repeating: wrong, count: 10_000).joined(separator: " ")
        #expect(reason(headers(signatures: [signature + " " + many])) == nil)
        #expect(reason(headers(signatures: [many + " " + signature])) == .mismatch)
    }

    @Test("W6: a missing, empty or repeated field is rejected, and repeated signatures are one list")
    func fields() {
        let good = headers(signatures: [signature])
        for (index, name) in ["webhook-id", "webhook-timestamp", "webhook-signature"].enumerated() {
            var missing = good
            missing.remove(at: index)
            #expect(reason(missing) == .missingHeader(name))
            var empty = good
            empty[index].value = ""
            #expect(reason(empty) == .missingHeader(name))
            let isList = index == 2
            #expect(reason(good + [good[index]]) == (isList ? nil : .repeatedHeader(name)))
        }
        let stripe = WebhookVerifier(.init(.stripe, secrets: [.init("a", "whsec_test_secret")])) { 1 }
        let signed = self.stripe("1", #"{"id":"e"}"#)
        let bytes = Array(#"{"id":"e"}"#.utf8)
        #expect(reason(signed, body: bytes, stripe) == nil)
        #expect(reason(signed + signed, body: bytes, stripe) == .repeatedHeader("stripe-signature"))
        let twice = [("stripe-signature", "t=1," + signed[0].value)]
        #expect(reason(twice, body: bytes, stripe) == .malformedHeader("stripe-signature"))
    }

    @Test(
        "W7: a signature of another length or form is a mismatch",
        arguments: ["", "00", "zz", "é", "v1=", "====", "AAA="]
    )
    func forms(text: String) {
        #expect(reason(headers(signatures: ["v1,\(text)"])) == .mismatch)
        let github = WebhookVerifier(.init(.github, secrets: [.init("a", "mysecret")]))
        #expect(reason([("x-hub-signature-256", "sha256=\(text)")], github) == .mismatch)
        let base64 = WebhookVerifier(.init(.shopify, secrets: [.init("a", "mysecret")]))
        let expected: WebhookError.Reason = text.isEmpty ? .missingHeader("x-shopify-hmac-sha256") : .mismatch
        #expect(reason([("x-shopify-hmac-sha256", text)], base64) == expected)
    }

    @Test(
        "W8: an empty, blank, short, undecodable, asymmetric or repeated secret is refused, without its text in the message",
        arguments: [
            ([""], "secret s0: the text is empty"),
            ([" whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "secret s0: the text begins or ends with white space"),
            (["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"], "secret s0: the text begins or ends with white space"),
            (["whsec_AAAA"], "secret s0: the key must have 24 to 64 bytes (has 3)"),
            (["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"], "secret s0: the text must be whsec_ and base 64 with padding"),
            (["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "secret s0: the text must be whsec_ and base 64 with padding"),
            (
                ["whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="],
                "secret s0: the text is an asymmetric key, and a secret begins with whsec_"
            ),
            (
                ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
                "secret s1 is the same as an earlier secret"
            ),
            ([String](), "secrets must be from 1 to 10 (are 0)"),
        ]
    )
    func badSecrets(texts: [String], problem: String) {
        let secrets = texts.enumerated().map { WebhookVerifier.Secret("s\($0.offset)", $0.element) }
        let problems = problems(of: WebhookVerifier.Configuration(.standard, secrets: secrets).validate)
        #expect(problems == [problem])
        for text in texts where text.count > 3 { #expect(!problem.contains(text)) }
    }

    @Test("W9: two secrets verify in any order, and a removed secret verifies nothing after the reload")
    func rotation() throws {
        let fields = headers(signatures: [signature])
        let old = try verifier([other, secret], at: sent).verify(headers: fields, body: body)
        #expect(old.secretName == "s1")
        let verifier = verifier([secret, other], at: sent)
        #expect(try verifier.verify(headers: fields, body: body).secretName == "s0")
        var configuration = verifier.configuration
        configuration.secrets.removeFirst()
        try verifier.reload(configuration)
        #expect(reason(fields, verifier) == .mismatch)
        configuration.secrets = []
        #expect(throws: ConfigurationError.self) { try verifier.reload(configuration) }
        #expect(verifier.configuration.secrets.count == 1)
    }

    @Test("W10: the same secret text is another key in another scheme")
    func schemes() {
        let time = "\(sent)"
        let stripe = WebhookVerifier(.init(.stripe, secrets: [.init("a", secret)])) { self.sent }
        let text = #"{"id":"e"}"#
        #expect(reason(self.stripe(time, text, secret: secret), body: Array(text.utf8), stripe) == nil)
        // The key of Standard Webhooks is the decoded secret.
        let literal = HMACSHA256(key: Array(secret.utf8)).code(for: [Array("id.\(time).".utf8), body])
        #expect(
            reason([("x-hub-signature-256", "sha256=" + hexadecimal(literal))]) == .missingHeader("webhook-signature")
        )
    }

    @Test("W11: an identifier with a full stop is rejected")
    func fullStops() {
        #expect(reason(headers(id: "a.1", signatures: [signature])) == .malformedHeader("webhook-id"))
    }

    @Test("a body over the limit is rejected before anything is hashed")
    func largeBodies() {
        let verifier = WebhookVerifier(.init(.standard, secrets: [.init("a", secret)], maxBodyBytes: 10))
        #expect(reason([], body: Array(repeating: 0, count: 11), verifier) == .tooLarge(limit: 10))
        #expect(reason([], body: Array(repeating: 0, count: 10), verifier) == .missingHeader("webhook-signature"))
    }

    @Test("the identity and the type come from signed bytes where the scheme has them there")
    func content() throws {
        let stripe = WebhookVerifier(.init(.stripe, secrets: [.init("a", "whsec_test_secret")])) { 1 }
        func event(_ body: String) throws -> WebhookEvent {
            try stripe.verify(headers: self.stripe("1", body), body: Array(body.utf8))
        }
        let paid = try event(#"{"id":"evt_1","type":"invoice.paid","data":{"id":"x"}}"#)
        #expect(paid.id == "evt_1" && paid.type == "invoice.paid" && paid.isTypeSigned && paid.timestamp == 1)
        #expect(try event(#"{"id":"evt_1","type":5}"#).type == nil)
        for body in [#"{"type":"t"}"#, #"{"id":5}"#, "[]", "", "{", #"{"id":"a","id":"b"}"#] {
            #expect(throws: WebhookError.self, "\(body)") { try event(body) }
        }
        let github = WebhookVerifier(.init(.github, secrets: [.init("a", "mysecret")]))
        let code = HMACSHA256(key: Array("mysecret".utf8)).code(for: [Array("{}".utf8)])
        let fields = [("X-Hub-Signature-256", "sha256=" + hexadecimal(code).uppercased()), ("X-GitHub-Event", "push")]
        let push = try github.verify(headers: fields, body: Array("{}".utf8))
        #expect(push.id == hexadecimal(SHA256.digest(Array("{}".utf8))))
        #expect(push.type == "push" && !push.isTypeSigned && push.timestamp == nil)
    }

    @Test("W24: no error and no event text contains a secret, a signature or a header value")
    func secrecy() {
        for fields in [
            headers(signatures: ["v1,SIGNATURE"]), headers(id: "ID.1", signatures: [signature]),
            headers(time: "TIME", signatures: ["x"]),
        ] {
            do throws(WebhookError) { _ = try verifier([secret], at: sent).verify(headers: fields, body: body) } catch {
                for word in ["SIGNATURE", "ID.1", "TIME", secret] { #expect(!"\(error)".contains(word)) }
            }
        }
        #expect("\(WebhookVerifier.Secret("current", secret))" == "secret current")
    }

    @Test(
        "figures that cannot work are refused with the value",
        arguments: [
            (Duration.zero, 1, "tolerance must be from 1 second to 1 day (is 0.0 seconds)"),
            (.seconds(300), 0, "maxBodyBytes must be from 1 to 67108864 (is 0)"),
        ]
    )
    func figures(tolerance: Duration, limit: Int, problem: String) {
        let configuration = WebhookVerifier.Configuration(
            .standard,
            secrets: [.init("a", secret)],
            tolerance: tolerance,
            maxBodyBytes: limit
        )
        #expect(problems(of: configuration.validate) == [problem])
    }

    @Test("a scheme whose time is not signed is refused")
    func unsignedTimes() {
        let scheme = WebhookScheme.hmacSHA256(
            "x",
            signatureHeader: "s",
            timestampHeader: "t",
            redeliveryTime: .seconds(60)
        )
        let configuration = WebhookVerifier.Configuration(scheme, secrets: [.init("a", "longenough")])
        #expect(problems(of: configuration.validate) == ["the time in t must be a part of the signed bytes"])
    }
}

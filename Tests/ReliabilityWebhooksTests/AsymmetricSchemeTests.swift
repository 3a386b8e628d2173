import ReliabilityCore
import ReliabilityWebhooks
import Synchronization
import TestSupport
import Testing

@Suite("Asymmetric signatures of the Standard Webhooks")
struct AsymmetricSchemeTests {
    private static let key = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
    private static let signature =
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
    private static let body = Array(#"{"test": 2432232314}"#.utf8)

    /// A stand-in for Ed25519 that accepts one message and one signature.
    private final class Signatures: Sendable {
        let calls = Mutex<[(key: [UInt8], signature: [UInt8], message: [UInt8])]>([])

        func verify(_ key: [UInt8], _ signature: [UInt8], _ message: [UInt8]) -> Bool {
            calls.withLock { $0.append((key, signature, message)) }
            return signature.first == 0x86 && message.starts(with: "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{".utf8)
        }
    }

    private func headers(_ signature: String) -> [(name: String, value: String)] {
        [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), ("webhook-timestamp", "1614265330"),
            ("webhook-signature", signature),
        ]
    }

    private func verifier(_ signatures: Signatures) -> WebhookVerifier {
        WebhookVerifier(
            .init(.standardAsymmetric, secrets: [.init("current", Self.key)]),
            unixSeconds: { 1_614_265_330 },
            ed25519: { signatures.verify($0, $1, $2) }
        )
    }

    @Test("the implementation receives the key, the signature and the signed bytes")
    func verifies() throws {
        let signatures = Signatures()
        let event = try verifier(signatures).verify(headers: headers("v1,AAAA \(Self.signature)"), body: Self.body)
        #expect(event.secretName == "current" && event.id == "msg_p5jXN8AQM9LWM0D4loKWxJek")
        let calls = signatures.calls.withLock { $0 }
        try #require(calls.count == 1)
        #expect(calls[0].key.count == 32 && calls[0].key.first == 0xd5)
        #expect(calls[0].signature.count == 64)
        #expect(calls[0].message == Array("msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.".utf8) + Self.body)
    }

    @Test("W5: at most four signatures are compared, because each comparison hashes the body")
    func manySignatures() throws {
        let signatures = Signatures()
        let other = "v1a," + String(repeating: "A", count: 86) + "=="
        let fourth = Array(repeating: other, count: 3) + [Self.signature]
        _ = try verifier(signatures).verify(headers: headers(fourth.joined(separator: " ")), body: Self.body)
        #expect(throws: WebhookError.self) {
            try verifier(signatures).verify(
                headers: headers(([other] + fourth).joined(separator: " ")),
                body: Self.body
            )
        }
        #expect(signatures.calls.withLock { $0.count } == 8)
    }

    @Test("W5: symmetric signatures and signatures of another length are not compared")
    func otherSignatures() {
        let signatures = Signatures()
        let verifier = verifier(signatures)
        let symmetric = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        for value in [symmetric, "v1a," + symmetric.dropFirst(3), "v1a,", "v1a,!!", "v2" + Self.signature.dropFirst(3)]
        {
            #expect(throws: WebhookError.self, "\(value)") {
                try verifier.verify(headers: headers(value), body: Self.body)
            }
        }
        #expect(signatures.calls.withLock { $0.isEmpty })
    }

    @Test(
        "W8: a key of another kind or length is refused",
        arguments: [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whpk_", "whpk_AAAA",
            "whsk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
        ]
    )
    func wrongKeys(text: String) {
        let configuration = WebhookVerifier.Configuration(.standardAsymmetric, secrets: [.init("a", text)])
        let problems = problems { try configuration.validate() }
        #expect(problems.count == 1 && !problems[0].contains("AAAA"))
    }

    #if !canImport(CryptoKit)
    @Test("a verifier without an implementation of Ed25519 refuses the scheme")
    func noImplementation() {
        let verifier = WebhookVerifier(
            .init(.standard, secrets: [.init("a", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")])
        )
        let problems = problems {
            try verifier.reload(.init(.standardAsymmetric, secrets: [.init("current", Self.key)]))
        }
        #expect(
            problems == [
                "the scheme standard asymmetric needs an implementation of Ed25519, and this platform has none"
            ]
        )
    }
    #endif
}

import ReliabilityCore
import ReliabilityWebhooks
import Testing

/// Published vectors, and vectors that an independent implementation of HMAC computed.
@Suite("Signatures of providers")
struct SignatureVectorTests {
    struct Vector: Sendable, CustomTestStringConvertible {
        let name: String
        let scheme: WebhookScheme
        let secret: String
        let headers: [(name: String, value: String)]
        let body: [UInt8]
        let time: Int64

        var testDescription: String { name }
    }

    private static func standard(
        _ name: String,
        _ secret: String,
        _ id: String,
        _ time: Int64,
        _ body: [UInt8],
        _ signature: String
    )
        -> Vector
    {
        Vector(
            name: name,
            scheme: .standard,
            secret: secret,
            headers: [("webhook-id", id), ("webhook-timestamp", "\(time)"), ("webhook-signature", signature)],
            body: body,
            time: time
        )
    }

    static let vectors: [Vector] = [
        standard(
            "the specification of Standard Webhooks",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            Array(#"{"test": 2432232314}"#.utf8),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        ),
        standard(
            "the library of Standard Webhooks for Rust",
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            Array(#"{"email":"test@example.com","username":"test_user"}"#.utf8),
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
        ),
        standard(
            "a body that is not UTF-8",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_1",
            1_614_265_330,
            [0xff, 0x00, 0x0d, 0x0a],
            "v1,+gt4h1uMMIX27msOA3m5YKNsosADCo8bDj0IlmKWffQ="
        ),
        Vector(
            name: "the documentation of GitHub",
            scheme: .github,
            secret: "It's a Secret to Everybody",
            headers: [
                ("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
            ],
            body: Array("Hello, World!".utf8),
            time: 0
        ),
        Vector(
            name: "the tests of octokit",
            scheme: .github,
            secret: "mysecret",
            headers: [
                ("X-Hub-Signature-256", "sha256=4864d2759938a15468b5df9ade20bf161da9b4f737ea61794142f3484236bda3")
            ],
            body: Array(#"{"foo":"bar"}"#.utf8),
            time: 0
        ),
        Vector(
            name: "the form of Stripe",
            scheme: .stripe,
            secret: "whsec_test_secret",
            headers: [
                (
                    "Stripe-Signature",
                    "t=1614265330,v1=081bbfc08840b2c7bc8ceea5ca83c4a7fe546a791ae7f39ffb09e03c1fe144cb"
                )
            ],
            body: Array(#"{"id":"evt_1","type":"t"}"#.utf8),
            time: 1_614_265_330
        ),
        Vector(
            name: "the form of Shopify",
            scheme: .shopify,
            secret: "hush hush",
            headers: [("X-Shopify-Hmac-Sha256", "pzwDaoAx/cGqA7Qwpr4SNS31ZOE5yRRdDl4Dv//GhSY=")],
            body: Array(#"{"id":1}"#.utf8),
            time: 0
        ),
    ]

    private static func verifier(_ vector: Vector) -> WebhookVerifier {
        WebhookVerifier(.init(vector.scheme, secrets: [.init("current", vector.secret)])) { vector.time }
    }

    @Test("a published signature verifies", arguments: vectors)
    func verifies(vector: Vector) throws {
        let event = try Self.verifier(vector).verify(headers: vector.headers, body: vector.body)
        #expect(event.body == vector.body && event.secretName == "current")
    }

    @Test("W1: one flipped bit of the body, an identifier, a time or a signature is rejected", arguments: vectors)
    func flippedBits(vector: Vector) {
        let verifier = Self.verifier(vector)
        for bit in 0..<vector.body.count * 8 {
            var body = vector.body
            body[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: WebhookError.self) { try verifier.verify(headers: vector.headers, body: body) }
        }
        for (index, field) in vector.headers.enumerated() {
            for position in 0..<field.value.utf8.count {
                var bytes = Array(field.value.utf8)
                // The next digit or letter, which is another bit of the decoded signature or another time.
                bytes[position] ^= 1
                var headers = vector.headers
                headers[index].value = String(decoding: bytes, as: UTF8.self)
                #expect(throws: WebhookError.self, "\(headers[index])") {
                    try verifier.verify(headers: headers, body: vector.body)
                }
            }
        }
    }

    @Test("W1: added and changed line ends, a byte order mark and other white space are rejected", arguments: vectors)
    func changedBytes(vector: Vector) {
        let verifier = Self.verifier(vector)
        let bodies = [
            vector.body + [0x0a], [0xef, 0xbb, 0xbf] + vector.body, vector.body + [0x0d, 0x0a], [0x20] + vector.body,
        ]
        for body in bodies {
            #expect(throws: WebhookError.self) { try verifier.verify(headers: vector.headers, body: body) }
        }
    }

    @Test("the codes of RFC 4231 and of keys at the size of a block")
    func codes() {
        func code(_ key: [UInt8], _ message: String) -> String {
            HMACSHA256(key: key).code(for: [Array(message.utf8)]).map { byte in
                let digits = String(byte, radix: 16)
                return digits.count == 1 ? "0" + digits : digits
            }.joined()
        }
        // Cases 1, 2 and 6 of RFC 4231.
        #expect(
            code(Array(repeating: 0x0b, count: 20), "Hi There")
                == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        )
        #expect(
            code(Array("Jefe".utf8), "what do ya want for nothing?")
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        )
        #expect(
            code(Array(repeating: 0xaa, count: 131), "Test Using Larger Than Block-Size Key - Hash Key First")
                == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        )
        let key = { (count: Int) in Array(repeating: UInt8(ascii: "k"), count: count) }
        #expect(code(key(64), "m") == "3b7a8d453e76edb519238a515105a57508d0f169f480ebeee120a9e7803289fa")
        #expect(code(key(65), "m") == "c2d7d4c2256ddb097409ec0c67e1d58fa1a007fc6932cac0d892a525d08af7cc")
    }

    @Test("a message in parts of any lengths has the digest of the whole message")
    func parts() {
        let message = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        for first in stride(from: 0, through: 300, by: 7) {
            for second in stride(from: first, through: 300, by: 31) {
                var hash = SHA256()
                hash.update(Array(message[..<first]))
                hash.update(Array(message[first..<second]))
                hash.update(Array(message[second...]))
                #expect(hash.digest() == SHA256.digest(message))
            }
        }
    }
}

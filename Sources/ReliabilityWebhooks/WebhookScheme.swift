/// The form in which a provider signs its webhooks.
///
/// The configuration of the receiver chooses the scheme. A header never does.
public struct WebhookScheme: Hashable, Sendable {
    /// A part of the signed bytes.
    @nonexhaustive
    public enum Part: Hashable, Sendable {
        /// A constant text.
        case text(String)
        /// The value of a header field.
        case header(String)
        /// The body.
        case body
    }

    /// The encoding of a signature as text.
    @nonexhaustive
    public enum Encoding: Hashable, Sendable {
        /// Hexadecimal digits in upper or lower case.
        case hexadecimal
        /// The base 64 of RFC 4648 §4 with padding.
        case base64
    }

    /// The source of the identity by which repeated deliveries are recognized.
    @nonexhaustive
    public enum Identity: Hashable, Sendable {
        /// A header field, which should be signed.
        case header(String)
        /// A text in the JSON body at a path of keys.
        case body([String])
        /// The digest of the body and of header fields, for schemes that sign only the body.
        ///
        /// A header field that is not signed separates equal bodies. A forger who has seen one message can therefore
        /// deliver its body again under another value of the field.
        case digestOfBody(and: [String] = [])
    }

    /// The source of the type of an event.
    @nonexhaustive
    public enum EventType: Hashable, Sendable {
        /// A header field. The field is not signed in any of the known schemes.
        case header(String)
        /// A text in the JSON body at the first path of keys that exists.
        case body([[String]])
    }

    /// The form of the secret and of the field with the signatures.
    enum Form: Hashable, Sendable {
        /// A signature after a prefix. The secret is a text.
        case single(prefix: String, Encoding)
        /// Signatures of the Standard Webhooks, separated by spaces. The secret is `whsec_` and base 64.
        case standard
        /// Ed25519 signatures of the Standard Webhooks. The public key is `whpk_` and base 64.
        case standardAsymmetric
        /// Signatures and the time in one field of Stripe. The secret is a text.
        case stripe
    }

    let name: String
    let signatureHeader: String
    let form: Form
    let parts: [Part]
    let timestampHeader: String?
    let identity: Identity
    let eventType: EventType?
    /// The time for which the provider may deliver a message again.
    let redeliveryTime: Duration
    /// A Boolean value that indicates whether a repeated delivery has the same bytes.
    let repeatsBytes: Bool
    /// The type of the messages that ask for an answer with the text `challenge` of their body, or `nil` if there are
    /// none.
    var challengeType: String?

    /// A scheme of a provider with HMAC and SHA-256.
    ///
    /// - Parameters:
    ///   - name: The name of the scheme for errors and logs.
    ///   - signatureHeader: The header field with the signature.
    ///   - prefix: The text before the signature, such as `sha256=`. Defaults to an empty text.
    ///   - encoding: The encoding of the signature. Defaults to hexadecimal digits.
    ///   - parts: The signed bytes. Defaults to the body.
    ///   - timestampHeader: The header field with the time of the attempt in whole Unix seconds, or `nil` if there is
    ///     none. The field must be one of the parts. Defaults to `nil`.
    ///   - identity: The source of the identity. Defaults to the digest of the body.
    ///   - eventType: The source of the type, or `nil` if events have no type. Defaults to `nil`.
    ///   - redeliveryTime: The time for which the provider may deliver a message again. A ``WebhookInbox`` remembers
    ///     messages at least as long.
    ///   - repeatsBytes: A Boolean value that indicates whether a repeated delivery has the same bytes. Defaults to
    ///     `true`.
    /// - Returns: The scheme.
    public static func hmacSHA256(
        _ name: String,
        signatureHeader: String,
        prefix: String = "",
        encoding: Encoding = .hexadecimal,
        parts: [Part] = [.body],
        timestampHeader: String? = nil,
        identity: Identity = .digestOfBody(),
        eventType: EventType? = nil,
        redeliveryTime: Duration,
        repeatsBytes: Bool = true
    ) -> Self {
        Self(
            name: name,
            signatureHeader: signatureHeader,
            form: .single(prefix: prefix, encoding),
            parts: parts,
            timestampHeader: timestampHeader,
            identity: identity,
            eventType: eventType,
            redeliveryTime: redeliveryTime,
            repeatsBytes: repeatsBytes
        )
    }
}

extension WebhookScheme {
    /// The scheme `v1` of Standard Webhooks 1.0.0, which Svix uses too.
    ///
    /// The secrets begin with `whsec_`.
    public static let standard = Self(
        name: "standard",
        signatureHeader: "webhook-signature",
        form: .standard,
        parts: [.header("webhook-id"), .text("."), .header("webhook-timestamp"), .text("."), .body],
        timestampHeader: "webhook-timestamp",
        identity: .header("webhook-id"),
        eventType: .body([["type"]]),
        redeliveryTime: .days(4),
        repeatsBytes: true
    )

    /// The scheme `v1a` of Standard Webhooks 1.0.0 with Ed25519 signatures.
    ///
    /// The secrets of the verifier are public keys that begin with `whpk_`. See
    /// ``WebhookVerifier/init(_:unixSeconds:ed25519:)`` for the platforms with Ed25519.
    public static let standardAsymmetric = Self(
        name: "standard asymmetric",
        signatureHeader: standard.signatureHeader,
        form: .standardAsymmetric,
        parts: standard.parts,
        timestampHeader: standard.timestampHeader,
        identity: standard.identity,
        eventType: standard.eventType,
        redeliveryTime: standard.redeliveryTime,
        repeatsBytes: true
    )

    /// The scheme `v1` of Stripe.
    ///
    /// The secret is the whole text that begins with `whsec_`. Entries `v0` are ignored.
    public static let stripe = Self(
        name: "stripe",
        signatureHeader: "stripe-signature",
        form: .stripe,
        parts: [],
        timestampHeader: nil,
        identity: .body(["id"]),
        eventType: .body([["type"]]),
        redeliveryTime: .days(30),
        repeatsBytes: false
    )

    /// The scheme of GitHub, which signs the body only.
    ///
    /// The type comes from `X-GitHub-Event`, which is not signed.
    public static let github = hmacSHA256(
        "github",
        signatureHeader: "x-hub-signature-256",
        prefix: "sha256=",
        eventType: .header("x-github-event"),
        redeliveryTime: .days(4)
    )

    /// The scheme of Slack.
    ///
    /// A ``WebhookInbox`` answers the message `url_verification` with its challenge.
    public static let slack: Self = {
        var scheme = hmacSHA256(
            "slack",
            signatureHeader: "x-slack-signature",
            prefix: "v0=",
            parts: [.text("v0:"), .header("x-slack-request-timestamp"), .text(":"), .body],
            timestampHeader: "x-slack-request-timestamp",
            identity: .body(["event_id"]),
            eventType: .body([["event", "type"], ["type"]]),
            redeliveryTime: .days(1),
            repeatsBytes: false
        )
        scheme.challengeType = "url_verification"
        return scheme
    }()

    /// The scheme of Shopify, which signs the body only.
    ///
    /// The type comes from `X-Shopify-Topic`, which is not signed.
    public static let shopify = hmacSHA256(
        "shopify",
        signatureHeader: "x-shopify-hmac-sha256",
        encoding: .base64,
        identity: .digestOfBody(and: ["x-shopify-topic"]),
        eventType: .header("x-shopify-topic"),
        redeliveryTime: .days(2)
    )
}

extension Duration {
    fileprivate static func days(_ count: Int) -> Duration { .seconds(count * 86_400) }
}

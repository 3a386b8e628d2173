public import ReliabilityCore

#if canImport(CryptoKit)
internal import CryptoKit
#endif

/// Verifies the signatures of received webhooks.
///
/// ```swift
/// let verifier = WebhookVerifier(.init(.stripe, secrets: [.init("current", secret)]))
/// let event = try verifier.verify(headers: [("stripe-signature", signature)], body: body)
/// ```
///
/// - The verifier needs the body exactly as received. A body that was decoded and encoded again has another signature.
/// - Every secret is compared with every signature in constant time, also after a match.
/// - The time of a message is checked after its signature, so that only the sender learns of a wrong clock.
/// - The configuration decides the algorithm. Signatures of other versions are ignored.
///
/// A verified message may be a repeated delivery. Remember ``WebhookEvent/id`` in the commit that stores the event.
public final class WebhookVerifier: Sendable {
    /// Returns whether a signature of 64 bytes belongs to a message and a public key of 32 bytes.
    public typealias Ed25519 = @Sendable (_ publicKey: [UInt8], _ signature: [UInt8], _ message: [UInt8]) -> Bool

    private enum Key: Sendable {
        case code(HMACSHA256)
        case publicKey([UInt8])
    }

    private struct State: Sendable {
        let configuration: Configuration
        /// The keys in the order of the secrets.
        let keys: [Key]

        init(_ configuration: Configuration) {
            self.configuration = configuration
            keys = configuration.secrets.map { secret in
                let key = configuration.scheme.key(of: secret.text) ?? []
                return configuration.scheme.form == .standardAsymmetric ? .publicKey(key) : .code(HMACSHA256(key: key))
            }
        }
    }

    private let state: Lock<State>
    private let unixSeconds: @Sendable () -> Int64
    private let ed25519: Ed25519?

    /// Creates a verifier.
    ///
    /// The scheme ``WebhookScheme/standardAsymmetric`` needs Ed25519 signatures (RFC 8032). The platforms of Apple have
    /// an implementation. On other platforms, pass the one of swift-crypto:
    ///
    /// ```
    /// let verifier = WebhookVerifier(configuration, ed25519: { publicKey, signature, message in
    ///     let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey)
    ///     return key?.isValidSignature(signature, for: message) ?? false
    /// })
    /// ```
    ///
    /// - Parameters:
    ///   - configuration: The scheme, the secrets and the limits.
    ///   - unixSeconds: Returns the time in Unix seconds, or `nil` for the clock of the system. Defaults to `nil`.
    ///   - ed25519: Verifies Ed25519 signatures, or `nil` for the implementation of the platform. Defaults to `nil`.
    /// - Precondition: The configuration is valid, and there is an implementation of Ed25519 if the scheme needs one.
    ///   ``Configuration/validate()`` lists the problems of a configuration from outside.
    public init(
        _ configuration: Configuration,
        unixSeconds: (@Sendable () -> Int64)? = nil,
        ed25519: Ed25519? = nil
    ) {
        let ed25519 = ed25519 ?? Self.platformEd25519
        requireValid { () throws(ConfigurationError) in try Self.validate(configuration, ed25519) }
        state = Lock(State(configuration))
        self.unixSeconds = unixSeconds ?? { unixNanoseconds() / 1_000_000_000 }
        self.ed25519 = ed25519
    }

    /// The implementation of Ed25519 of the platform, or `nil` if the platform has none.
    private static var platformEd25519: Ed25519? {
        #if canImport(CryptoKit)
        return { publicKey, signature, message in
            let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey)
            return key?.isValidSignature(signature, for: message) ?? false
        }
        #else
        return nil
        #endif
    }

    private static func validate(_ configuration: Configuration, _ ed25519: Ed25519?) throws(ConfigurationError) {
        try configuration.validate()
        var problems = ConfigurationProblems("webhook verifier")
        problems.require(
            configuration.scheme.form != .standardAsymmetric || ed25519 != nil,
            "the scheme \(configuration.scheme.name) needs an implementation of Ed25519, and this platform has none"
        )
        try problems.throwIfAny()
    }

    /// The current configuration.
    public var configuration: Configuration { state.withLock { $0.configuration } }

    /// Replaces the configuration, for example to add or remove a secret.
    ///
    /// A message that is being verified is judged by the old or by the new configuration as a whole.
    ///
    /// - Parameter configuration: The new configuration.
    /// - Throws: `ConfigurationError` if the configuration is not valid. The verifier then keeps its old configuration.
    public func reload(_ configuration: Configuration) throws(ConfigurationError) {
        try Self.validate(configuration, ed25519)
        let newState = State(configuration)
        state.withLock { $0 = newState }
    }

    /// Verifies a message.
    ///
    /// - Parameters:
    ///   - headers: The header fields in the order of the request. Names are compared without regard to case. Repeated
    ///     fields must not be joined.
    ///   - body: The body as received.
    /// - Returns: The event.
    /// - Throws: ``WebhookError`` if the message is not authentic, not recent or too large.
    public func verify(
        headers: [(name: String, value: String)],
        body: [UInt8]
    ) throws(WebhookError) -> WebhookEvent {
        let state = state.withLock { $0 }
        let configuration = state.configuration
        if body.count > configuration.maxBodyBytes { throw WebhookError(.tooLarge(limit: configuration.maxBodyBytes)) }
        let scheme = configuration.scheme
        let message = try SignedMessage(scheme, ReceivedHeaders(headers), body)
        var match: Int?
        for (index, key) in state.keys.enumerated() {
            let isValid = isValid(by: key, message.parts)
            for candidate in message.signatures where isValid(candidate) {
                if match == nil { match = index }
            }
        }
        guard let match else { throw WebhookError(.mismatch) }
        var offset: Int64?
        if let timestamp = message.timestamp {
            let seconds = unixSeconds().saturatingSubtract(timestamp)
            let tolerance = configuration.tolerance.components.seconds
            if seconds > tolerance { throw WebhookError(.tooOld(seconds: seconds)) }
            if seconds < -tolerance { throw WebhookError(.tooNew(seconds: Int64(0).saturatingSubtract(seconds))) }
            offset = seconds
        }
        let content = try EventContent(scheme, message.headers, body)
        return WebhookEvent(
            id: content.id,
            type: content.type,
            isTypeSigned: content.isTypeSigned,
            timestamp: message.timestamp,
            clockOffset: offset,
            secretName: configuration.secrets[match].name,
            challenge: content.challenge,
            body: body
        )
    }

    /// Returns the check of signatures of a message by a key.
    private func isValid(by key: Key, _ parts: [[UInt8]]) -> ([UInt8]) -> Bool {
        switch key {
        case .code(let code):
            let expected = code.code(for: parts)
            return { equalInConstantTime($0, expected) }
        case .publicKey(let publicKey):
            let message = Array(parts.joined())
            return { [ed25519] in ed25519?(publicKey, $0, message) ?? false }
        }
    }
}

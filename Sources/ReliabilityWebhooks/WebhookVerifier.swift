public import ReliabilityCore

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
    private struct Key: Sendable {
        let name: String
        let code: HMACSHA256
    }

    private struct State: Sendable {
        let configuration: Configuration
        let keys: [Key]

        init(_ configuration: Configuration) {
            self.configuration = configuration
            keys = configuration.secrets.map { secret in
                Key(name: secret.name, code: HMACSHA256(key: configuration.scheme.key(of: secret.text) ?? []))
            }
        }
    }

    private let state: Lock<State>
    private let unixSeconds: @Sendable () -> Int64

    /// Creates a verifier.
    ///
    /// - Parameters:
    ///   - configuration: The scheme, the secrets and the limits.
    ///   - unixSeconds: Returns the time in Unix seconds, or `nil` for the clock of the system. Defaults to `nil`.
    /// - Precondition: The configuration is valid. ``Configuration/validate()`` lists the problems of a configuration
    ///   from outside.
    public init(_ configuration: Configuration, unixSeconds: (@Sendable () -> Int64)? = nil) {
        requireValid(configuration.validate)
        state = Lock(State(configuration))
        self.unixSeconds = unixSeconds ?? { unixNanoseconds() / 1_000_000_000 }
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
        try configuration.validate()
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
        var match: Key?
        for key in state.keys {
            let code = key.code.code(for: message.parts)
            for candidate in message.signatures where equalInConstantTime(candidate, code) {
                if match == nil { match = key }
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
            secretName: match.name,
            body: body
        )
    }
}

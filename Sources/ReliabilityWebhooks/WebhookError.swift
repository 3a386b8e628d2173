public import ReliabilityCore

/// The rejection of a webhook.
///
/// The response is the same for every reason but the size, so that a forger learns nothing. The reason is for the
/// observer and for logs. The reason contains no secret, no signature and no value of a header field.
public struct WebhookError: ReliabilityError, Hashable, CustomStringConvertible {
    /// The reason of a rejection.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// A required header field is missing or empty.
        case missingHeader(String)
        /// A header field that must be unique appears more than once.
        case repeatedHeader(String)
        /// A header field does not have the form of the scheme.
        case malformedHeader(String)
        /// No signature belongs to the message and a secret.
        case mismatch
        /// The message is authentic and older than the tolerance. The age is in seconds.
        case tooOld(seconds: Int64)
        /// The message is authentic and further in the future than the tolerance. The lead is in seconds.
        case tooNew(seconds: Int64)
        /// The message is authentic, but its body has no identity of the scheme's form.
        case noIdentity
        /// The body exceeds the limit.
        case tooLarge(limit: Int)
    }

    /// The reason of the rejection.
    public let reason: Reason

    init(_ reason: Reason) { self.reason = reason }

    /// The code `webhook.too_large` for a body over the limit, and otherwise `webhook.rejected`.
    public var code: ErrorCode {
        if case .tooLarge = reason { "webhook.too_large" } else { "webhook.rejected" }
    }

    /// The category `tooLarge` for a body over the limit, and otherwise `unauthenticated`.
    public var category: ErrorCategory {
        if case .tooLarge = reason { .tooLarge } else { .unauthenticated }
    }

    /// The message for clients, which is the same for every reason but the size.
    public var message: String {
        if case .tooLarge = reason { "The body is too large." } else { "The webhook was rejected." }
    }

    /// Always `true`, because a rejected webhook has no effect.
    public var isRejection: Bool { true }

    /// The code and the reason for logs.
    public var description: String {
        switch reason {
        case .missingHeader(let name): "\(code): the header field \(name) is missing"
        case .repeatedHeader(let name): "\(code): the header field \(name) appears more than once"
        case .malformedHeader(let name): "\(code): the header field \(name) is malformed"
        case .mismatch: "\(code): no signature belongs to a secret"
        case .tooOld(let seconds): "\(code): the message is \(seconds) s old"
        case .tooNew(let seconds): "\(code): the message is \(seconds) s ahead of this clock"
        case .noIdentity: "\(code): the body has no identity"
        case .tooLarge(let limit): "\(code): the body exceeds \(limit) bytes"
        }
    }
}

internal import Outbox
public import ReliabilityCore

/// The failure of an attempt to deliver a webhook.
///
/// The code is the reason that the store keeps with a dead letter. The error contains no secret, no body and no URL.
public struct WebhookDeliveryError: ReliabilityError, Hashable, CustomStringConvertible {
    /// The reason of a failure.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// The identity, the type or the time of a message does not have its form.
        case invalidMessage
        /// The endpoint is not in the directory.
        case unknownEndpoint
        /// The endpoint is disabled.
        case disabled
        /// The endpoint has as many attempts at the same time as allowed, asked for a wait, or is in quarantine.
        case waiting
        /// The directory of endpoints or the store failed before the attempt.
        case directoryFailed
        /// The address policy rejected the URL or an address.
        case addressRejected(WebhookAddressPolicy.Rejection)
        /// The host could not be resolved.
        case resolutionFailed
        /// The transport failed before a response. The code is the code of its error, or `nil` if the error has none.
        case transportFailed(ErrorCode?)
        /// The attempt exceeded its time limit.
        case timedOut
        /// The endpoint answered with the status 410 and wants no more messages.
        case gone
        /// The endpoint answered with a redirect, which is never followed.
        case redirected(status: Int)
        /// The endpoint answered with another status than a success.
        case status(Int)
    }

    /// The reason of the failure.
    public let reason: Reason

    /// The decision about the message.
    let decision: DeliveryDecision

    init(_ reason: Reason, _ decision: DeliveryDecision = .retry) {
        self.reason = reason
        self.decision = decision
    }

    /// A code such as `webhook.timed_out`.
    public var code: ErrorCode {
        switch reason {
        case .invalidMessage: "webhook.invalid_message"
        case .unknownEndpoint: "webhook.unknown_endpoint"
        case .disabled: "webhook.disabled"
        case .waiting: "webhook.waiting"
        case .directoryFailed: "webhook.directory_failed"
        case .addressRejected: "webhook.address_rejected"
        case .resolutionFailed: "webhook.resolution_failed"
        case .transportFailed: "webhook.transport_failed"
        case .timedOut: "webhook.timed_out"
        case .gone: "webhook.gone"
        case .redirected: "webhook.redirected"
        case .status: "webhook.status"
        }
    }

    /// The category of the reason.
    public var category: ErrorCategory {
        switch reason {
        case .invalidMessage: .invalid
        case .timedOut: .timeout
        case .unknownEndpoint, .disabled, .addressRejected, .gone, .redirected: .preconditionFailed
        case .waiting, .directoryFailed, .resolutionFailed, .transportFailed, .status: .unavailable
        }
    }

    /// The message for clients.
    public var message: String { "The webhook could not be delivered." }

    /// The code and the details for logs.
    public var description: String {
        switch reason {
        case .addressRejected(let rejection): "\(code): \(rejection)"
        case .redirected(let status), .status(let status): "\(code): \(status)"
        case .transportFailed(let inner?): "\(code): \(inner)"
        default: code.description
        }
    }
}

public import ReliabilityCore
public import ReliabilityStore

/// A limiter did not allow a call, which was not made.
public struct RateLimitError: ReliabilityError, CustomStringConvertible {
    /// Why.
    ///
    /// The set may grow.
    @nonexhaustive
    public enum Reason: Sendable {
        /// The key has used up its limit; the decision says when to ask again.
        case exceeded(RateDecision)
        /// The cost is more than the limit can ever allow: asking again cannot help.
        case neverSatisfiable(cost: Int, limit: Int)
        /// The cost is not positive.
        case invalidCost(Int)
        /// The key is longer than the store takes.
        case keyTooLong(bytes: Int)
        /// The store is down, and the limiter is to refuse then.
        case storeUnavailable(StoreError)
    }

    /// Why.
    public let reason: Reason

    init(_ reason: Reason) { self.reason = reason }

    /// A code such as `rate_limit.exceeded`.
    public var code: ErrorCode {
        switch reason {
        case .exceeded: "rate_limit.exceeded"
        case .neverSatisfiable: "rate_limit.never_satisfiable"
        case .invalidCost: "rate_limit.invalid_cost"
        case .keyTooLong: "rate_limit.key_too_long"
        case .storeUnavailable: "rate_limit.store_unavailable"
        }
    }

    /// `rateLimited` only when a limit was exceeded; `unavailable` when the store is down.
    public var category: ErrorCategory {
        switch reason {
        case .exceeded: .rateLimited
        case .neverSatisfiable: .tooLarge
        case .invalidCost, .keyTooLong: .invalid
        case .storeUnavailable: .unavailable
        }
    }

    /// A constant sentence for each reason.
    public var message: String {
        switch reason {
        case .exceeded: "Too many requests."
        case .neverSatisfiable: "The request is larger than is ever allowed."
        case .invalidCost, .keyTooLong: "The request is not valid."
        case .storeUnavailable: "The service is not available at the moment."
        }
    }

    /// When the same call would be allowed; nil where waiting does not help.
    public var retryAfter: Duration? {
        if case .exceeded(let decision) = reason { decision.retryAfter } else { nil }
    }

    /// The store's error, if it is the cause.
    public var underlyingError: (any Error)? {
        if case .storeUnavailable(let error) = reason { error } else { nil }
    }

    /// Always: the call was not made.
    public var isRejection: Bool { true }

    /// The code and the numbers, for logs; never the key.
    public var description: String {
        switch reason {
        case .exceeded(let decision):
            "\(code): limit \(decision.limit), allowed again in \((decision.retryAfter ?? .zero).text)"
        case .neverSatisfiable(let cost, let limit): "\(code): cost \(cost), limit \(limit)"
        case .invalidCost(let cost): "\(code): cost \(cost)"
        case .keyTooLong(let bytes): "\(code): \(bytes) bytes"
        case .storeUnavailable(let error): "\(code): \(error)"
        }
    }
}

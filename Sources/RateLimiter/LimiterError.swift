public import ReliabilityCore
public import ReliabilityStore

/// The rejection of a call by a limiter.
///
/// The call was not made.
public struct LimiterError: ReliabilityError, CustomStringConvertible {
    /// The reason of a rejection.
    @nonexhaustive
    public enum Reason: Sendable {
        /// The limit of the key is exhausted. The decision contains the time until the call would be allowed.
        case exceeded(LimiterDecision)
        /// The cost exceeds the limit. A later call with the cost is rejected too.
        case neverSatisfiable(cost: Int, limit: Int)
        /// The cost is less than 1.
        case invalidCost(Int)
        /// The key exceeds the longest key of the store.
        case keyTooLong(bytes: Int)
        /// The store is down and the failure mode is `failClosed`. With a local fallback, the cost exceeds the share or
        /// the memory for the share is full.
        case storeUnavailable(StoreError)
    }

    /// The reason of the rejection.
    public let reason: Reason

    init(_ reason: Reason) { self.reason = reason }

    /// The code of the reason, such as `rate_limit.exceeded`.
    public var code: ErrorCode {
        switch reason {
        case .exceeded: "rate_limit.exceeded"
        case .neverSatisfiable: "rate_limit.never_satisfiable"
        case .invalidCost: "rate_limit.invalid_cost"
        case .keyTooLong: "rate_limit.key_too_long"
        case .storeUnavailable: "rate_limit.store_unavailable"
        }
    }

    /// The category of the reason.
    ///
    /// An exhausted limit is `rateLimited`. A store that is down is `unavailable`, a cost above the limit is
    /// `tooLarge`, and an invalid cost or key is `invalid`.
    public var category: ErrorCategory {
        switch reason {
        case .exceeded: .rateLimited
        case .neverSatisfiable: .tooLarge
        case .invalidCost, .keyTooLong: .invalid
        case .storeUnavailable: .unavailable
        }
    }

    /// The message for clients, which contains neither the key nor the limit.
    public var message: String {
        switch reason {
        case .exceeded: "Too many requests."
        case .neverSatisfiable: "The request is larger than the rate limit ever allows."
        case .invalidCost, .keyTooLong: "The request is not valid."
        case .storeUnavailable: Self.unavailableMessage
        }
    }

    /// The time until the same call would be allowed, or `nil` for other reasons than an exhausted limit.
    public var retryAfter: Duration? {
        if case .exceeded(let decision) = reason { decision.retryAfter } else { nil }
    }

    /// The error of the store, or `nil` for other reasons than a store that is down.
    public var underlyingError: (any Error)? {
        if case .storeUnavailable(let error) = reason { error } else { nil }
    }

    /// Always `true`: the call was not made.
    public var isRejection: Bool { true }

    /// The code and the numbers without the key, for logs.
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

public import ReliabilityCore

/// The error of a call that a circuit breaker rejected before the call reached the dependency.
public struct BreakerOpenError: ReliabilityError, Hashable, CustomStringConvertible {
    /// The time until the breaker may admit a call, or `nil` if the breaker was forced open.
    ///
    /// A value is always positive. The value depends on the state of the breaker:
    ///
    /// - For an open breaker, the time that the breaker stays open.
    /// - For a half-open breaker whose probes are running, the time until the first of the probes loses its place. The
    ///   probes may end sooner.
    /// - For a breaker in its ramp, the time until the breaker admits every call. The breaker may admit the next call.
    /// - For a breaker that ``Breaker/forceOpen()`` keeps open, `nil`.
    public let retryAfter: Duration?

    init(retryAfter: Duration?) { self.retryAfter = retryAfter }

    /// The code `circuit_breaker.open`.
    public var code: ErrorCode { "circuit_breaker.open" }
    /// The category `unavailable`.
    public var category: ErrorCategory { .unavailable }
    /// The message for clients.
    public var message: String { Self.unavailableMessage }
    /// Always `true` because the call did not reach the dependency.
    public var isRejection: Bool { true }
    /// The code and the wait for logs.
    public var description: String {
        guard let retryAfter else { return "\(code): the breaker was forced open" }
        return "\(code): the breaker rejects calls for another \(retryAfter.text)"
    }
}

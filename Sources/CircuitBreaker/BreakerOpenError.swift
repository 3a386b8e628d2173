public import ReliabilityCore

/// A circuit breaker rejected a call, which did not reach the dependency.
public struct BreakerOpenError: ReliabilityError, Hashable, CustomStringConvertible {
    /// How long until the breaker may admit a call; always positive.
    ///
    /// For an open breaker, the time that it stays open. For a half-open one, whose probes are all under way, the
    /// longest until their outcome decides or others take their place; they may be over sooner.
    public let wait: Duration

    /// `circuit_breaker.open`.
    public var code: ErrorCode { "circuit_breaker.open" }
    /// `unavailable`.
    public var category: ErrorCategory { .unavailable }
    /// A constant sentence.
    public var message: String { "The service is not available at the moment." }
    /// How long until the breaker may admit a call.
    public var retryAfter: Duration? { wait }
    /// Always: the call did not reach the dependency.
    public var isRejection: Bool { true }
    /// The code and the wait, for logs.
    public var description: String { "\(code): no call for another \(wait.text)" }
}

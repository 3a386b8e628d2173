public import ReliabilityCore

/// The error of a call that a circuit breaker rejected before the call reached the dependency.
public struct BreakerOpenError: ReliabilityError, Hashable, CustomStringConvertible {
    private let wait: Duration

    init(retryAfter wait: Duration) { self.wait = wait }

    /// The code `circuit_breaker.open`.
    public var code: ErrorCode { "circuit_breaker.open" }
    /// The category `unavailable`.
    public var category: ErrorCategory { .unavailable }
    /// The message for clients.
    public var message: String { Self.unavailableMessage }
    /// The time until the breaker may admit a call.
    ///
    /// The value is always positive and never `nil`. For an open breaker, the time that the breaker stays open. For a
    /// half-open breaker whose probes are in flight, the longest time until the probes decide or other calls replace
    /// the probes. The probes may end sooner.
    public var retryAfter: Duration? { wait }
    /// Always `true` because the call did not reach the dependency.
    public var isRejection: Bool { true }
    /// The code and the wait for logs.
    public var description: String { "\(code): the breaker rejects calls for another \(wait.text)" }
}

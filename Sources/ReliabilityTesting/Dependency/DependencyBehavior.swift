internal import ReliabilityCore

/// The behavior of a ``ScriptedDependency`` during a phase of its script.
public struct DependencyBehavior: Hashable, Sendable {
    enum Answer: Hashable, Sendable {
        case value
        case failure
        case refusal
        case throttle(retryAfter: Duration?)
        case none
    }

    let answer: Answer
    let latency: ClosedRange<Duration>
    let errorRate: Double
    let capacity: Int?

    private init(
        _ answer: Answer,
        latency: ClosedRange<Duration> = .zero...(.zero),
        errorRate: Double = 0,
        capacity: Int? = nil
    ) {
        requireValid(latency.lowerBound >= .zero, "latency must not be negative (is \(latency))")
        requireValid((0...1).contains(errorRate), "errorRate must be from 0 to 1 (is \(errorRate))")
        if let capacity { requireValid(capacity >= 1, "capacity must be at least 1 (is \(capacity))") }
        self.answer = answer
        self.latency = latency
        self.errorRate = errorRate
        self.capacity = capacity
    }

    /// Returns a behavior that answers every call apart from a share of failures.
    ///
    /// - Parameters:
    ///   - latency: The time until an answer. Each call draws a time from this range. Defaults to zero.
    ///   - errorRate: The share of the calls that fail after the latency, from 0 to 1. Defaults to 0.
    ///   - capacity: The number of calls that run at full speed, or `nil` for any number. With twice as many calls,
    ///     each call takes twice as long. Defaults to `nil`.
    /// - Returns: The behavior.
    /// - Precondition: `latency` is not negative. `errorRate` is from 0 to 1. `capacity` is at least 1.
    public static func healthy(
        latency: ClosedRange<Duration> = .zero...(.zero),
        errorRate: Double = 0,
        capacity: Int? = nil
    ) -> DependencyBehavior {
        DependencyBehavior(.value, latency: latency, errorRate: errorRate, capacity: capacity)
    }

    /// Returns a behavior that answers every call with a failure.
    ///
    /// - Parameter latency: The time until the failure. Each call draws a time from this range. Defaults to zero.
    /// - Returns: The behavior.
    /// - Precondition: `latency` is not negative.
    public static func failing(latency: ClosedRange<Duration> = .zero...(.zero)) -> DependencyBehavior {
        DependencyBehavior(.failure, latency: latency)
    }

    /// A behavior that accepts no connection.
    ///
    /// Every call fails immediately.
    public static let refusing = DependencyBehavior(.refusal)

    /// A behavior that accepts every call and never answers.
    ///
    /// The connections break at the end of the phase.
    public static let hanging = DependencyBehavior(.none)

    /// Returns a behavior that asks every caller to retry later.
    ///
    /// - Parameter retryAfter: The wait that the dependency asks for, counted from its answer, or `nil` for an
    ///   unspecified wait.
    /// - Returns: The behavior.
    public static func throttling(retryAfter: Duration?) -> DependencyBehavior {
        DependencyBehavior(.throttle(retryAfter: retryAfter))
    }
}

internal import ReliabilityCore

/// How a ``ScriptedDependency`` answers during one phase of its script.
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
        requireValid(latency.lowerBound >= .zero, "a latency must not be negative (is \(latency))")
        requireValid((0...1).contains(errorRate), "an error rate is from 0 to 1 (is \(errorRate))")
        if let capacity { requireValid(capacity >= 1, "a capacity must be at least 1 (is \(capacity))") }
        self.answer = answer
        self.latency = latency
        self.errorRate = errorRate
        self.capacity = capacity
    }

    /// It answers, most of the time.
    ///
    /// - Parameters:
    ///   - latency: How long an answer takes; each is drawn from the range.
    ///   - errorRate: The share of the calls that fail, after the latency, from 0 to 1.
    ///   - capacity: How many calls it works on at full speed; with twice as many, each takes twice as long. Nil for any
    ///     number.
    /// - Returns: The behaviour.
    /// - Precondition: `latency` is not negative, `errorRate` is from 0 to 1 and `capacity` is at least 1.
    public static func healthy(
        latency: ClosedRange<Duration> = .zero...(.zero),
        errorRate: Double = 0,
        capacity: Int? = nil
    ) -> DependencyBehavior {
        DependencyBehavior(.value, latency: latency, errorRate: errorRate, capacity: capacity)
    }

    /// It answers every call with a failure.
    ///
    /// - Parameter latency: How long that takes.
    /// - Returns: The behaviour.
    /// - Precondition: `latency` is not negative.
    public static func failing(latency: ClosedRange<Duration> = .zero...(.zero)) -> DependencyBehavior {
        DependencyBehavior(.failure, latency: latency)
    }

    /// It takes no call: the connection is refused, at once.
    public static let refusing = DependencyBehavior(.refusal)

    /// It takes every call and answers none of them; when the phase ends, the connections break.
    public static let hanging = DependencyBehavior(.none)

    /// It asks every caller to come later.
    ///
    /// - Parameter retryAfter: How much later, from its answer on; nil when it does not say.
    /// - Returns: The behaviour.
    public static func throttling(retryAfter: Duration?) -> DependencyBehavior {
        DependencyBehavior(.throttle(retryAfter: retryAfter))
    }
}

public import ReliabilityCore

/// A number of places that follows the latency and the failures of the calls.
///
/// The limit changes at the end of a window of calls. A success gives a sample of the latency. A failure gives no sample,
/// because a failure can be fast. A window in which at least a twentieth of the calls failed lowers the limit. A rejected
/// or cancelled call changes nothing. The limit does not grow while less than half of the limit is in use.
public struct AdaptiveLimit: Hashable, Sendable {
    /// The rule that changes the limit.
    @nonexhaustive
    public enum Algorithm: Hashable, Sendable {
        /// Additive increase and multiplicative decrease: a tenth less after a window in which at least a twentieth of
        /// the calls failed, and one place more after any other window.
        ///
        /// The rule needs a time limit inside of the bulkhead, because latency alone never lowers the limit.
        case aimd
        /// The limit is the number at which about log₁₀(limit) to 6 · log₁₀(limit) calls wait at the dependency.
        ///
        /// The wait follows from the shortest latency of the last minute. Every 30 windows, the limit is halved for a
        /// window, so that the shortest latency is measured again. See Brakmo and Peterson, "TCP Vegas", 1995.
        case vegas
        /// The limit falls as the latency of the last window rises above 1.5 times the long-term latency.
        ///
        /// See the limit `Gradient2` of Netflix's concurrency-limits.
        case gradient
    }

    /// The rule that changes the limit.
    public var algorithm: Algorithm
    /// The limit at the beginning.
    public var initial: Int
    /// The lowest limit (at least 1).
    public var min: Int
    /// The highest limit (at most 1,000,000).
    public var max: Int
    /// The shortest time between two changes (positive).
    ///
    /// A window also has at least 10 calls.
    public var window: Duration

    /// Creates a limit.
    ///
    /// - Parameters:
    ///   - algorithm: The rule that changes the limit. Defaults to ``Algorithm/gradient``.
    ///   - initial: The limit at the beginning. Defaults to 20.
    ///   - min: The lowest limit. Defaults to 4.
    ///   - max: The highest limit. Defaults to 200.
    ///   - window: The shortest time between two changes. Defaults to 1 second.
    public init(
        _ algorithm: Algorithm = .gradient,
        initial: Int = 20,
        min: Int = 4,
        max: Int = 200,
        window: Duration = .seconds(1)
    ) {
        self.algorithm = algorithm
        self.initial = initial
        self.min = min
        self.max = max
        self.window = window
    }

    /// Checks every field.
    ///
    /// - Throws: `ConfigurationError` with every problem.
    public func validate() throws(ConfigurationError) {
        var problems = ConfigurationProblems("adaptive limit")
        problems.require(min >= 1, "min must be at least 1 (is \(min))")
        problems.require(
            max >= min && max <= BulkheadPolicy.Configuration.maxCount,
            "max must be from min \(min) to \(BulkheadPolicy.Configuration.maxCount) (is \(max))"
        )
        problems.require(initial >= min && initial <= max, "initial must be from \(min) to \(max) (is \(initial))")
        problems.require(window > .zero, "window must be positive (is \(window))")
        try problems.throwIfAny()
    }
}

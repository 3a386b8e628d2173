public import ReliabilityCore

/// The waits between the attempts of a call.
public struct Backoff: Hashable, Sendable {
    /// The part of a wait that is random.
    public enum Jitter: Hashable, Sendable, CustomStringConvertible {
        /// No randomness. Callers that failed together retry together.
        case none
        /// A wait from zero to the whole wait.
        ///
        /// Full jitter puts the least load on a recovering dependency (AWS, “Exponential Backoff And Jitter”, 2015).
        case full
        /// A wait from half of the wait to the whole wait.
        case equal

        /// The kind of jitter as text, such as `full jitter`.
        public var description: String {
            switch self {
            case .none: "no jitter"
            case .full: "full jitter"
            case .equal: "equal jitter"
            }
        }
    }

    private enum Growth: Hashable {
        case constant(Jitter)
        case doubling(Jitter)
        /// A wait of up to three times the previous wait.
        case decorrelated
        /// The waits in nanoseconds. The last wait repeats.
        case list([Int64], Jitter)
    }

    private let initial: Int64
    private let maxWait: Int64
    private let growth: Growth
    /// The waits as they were given, for ``validate()``.
    private let given: [Duration]

    private init(_ given: [Duration], _ growth: Growth) {
        self.given = given
        self.growth = growth
        maxWait = Self.nanoseconds(given.last ?? .zero)
        initial = min(Self.nanoseconds(given.first ?? .zero), maxWait)
    }

    /// The whole nanoseconds of a wait, or zero for a negative wait.
    ///
    /// Rounded down: no wait exceeds the configured maximum.
    private static func nanoseconds(_ wait: Duration) -> Int64 {
        let rounded = Swift.max(0, wait.saturatingNanoseconds)
        return rounded > 0 && .nanoseconds(rounded) > wait ? rounded - 1 : rounded
    }

    /// No waits.
    public static let none = Backoff([.zero], .constant(.none))

    /// The same wait after each attempt.
    ///
    /// - Parameters:
    ///   - wait: The wait, not negative.
    ///   - jitter: The part of the wait that is random. Defaults to half of the wait.
    /// - Returns: The backoff.
    public static func constant(_ wait: Duration, jitter: Jitter = .equal) -> Backoff {
        Backoff([wait], .constant(jitter))
    }

    /// A wait that doubles after each attempt, up to a longest wait.
    ///
    /// - Parameters:
    ///   - initial: The wait after the first attempt, not negative. Defaults to 100 milliseconds.
    ///   - max: The longest wait with jitter, at least `initial`. Defaults to 20 seconds.
    ///   - jitter: The part of each wait that is random. Defaults to the whole wait.
    /// - Returns: The backoff.
    public static func exponential(
        initial: Duration = .milliseconds(100),
        max: Duration = .seconds(20),
        jitter: Jitter = .full
    ) -> Backoff {
        Backoff([initial, max], .doubling(jitter))
    }

    /// A random wait from the shortest wait to three times the previous wait.
    ///
    /// No wait is shorter than `initial`. Callers that failed together drift apart with each attempt (“decorrelated
    /// jitter” in AWS, “Exponential Backoff And Jitter”, 2015).
    ///
    /// - Parameters:
    ///   - initial: The shortest wait, not negative. Defaults to 100 milliseconds.
    ///   - max: The longest wait, at least `initial`. Defaults to 20 seconds.
    /// - Returns: The backoff.
    public static func decorrelated(
        initial: Duration = .milliseconds(100),
        max: Duration = .seconds(20)
    ) -> Backoff {
        // The longest wait bounds the range of the draw. A cut after the draw would give most late attempts the longest
        // wait, and callers would retry together again.
        Backoff([initial, max], .decorrelated)
    }

    /// A list of waits, of which the last wait repeats.
    ///
    /// ```swift
    /// let backoff = Backoff.schedule([.seconds(5), .seconds(60), .seconds(600), .seconds(3600)])
    /// ```
    ///
    /// - Parameters:
    ///   - waits: From 1 to 64 waits, the first for the first attempt. No wait is negative or shorter than the wait
    ///     before.
    ///   - jitter: The part of each wait that is random. Defaults to half of the wait.
    /// - Returns: The backoff.
    public static func schedule(_ waits: [Duration], jitter: Jitter = .equal) -> Backoff {
        Backoff(waits, .list(waits.map(nanoseconds), jitter))
    }

    /// Checks every field.
    ///
    /// - Throws: `ConfigurationError` with every problem.
    public func validate() throws(ConfigurationError) {
        var problems = ConfigurationProblems("backoff")
        if case .list = growth {
            problems.require(
                (1...64).contains(given.count),
                "a schedule must have from 1 to 64 waits (has \(given.count))"
            )
        }
        let first = given.first ?? .zero
        problems.require(first >= .zero, "the first wait must not be negative (is \(first))")
        for (earlier, later) in zip(given, given.dropFirst()) {
            problems.require(
                later >= earlier,
                "a wait must not be shorter than the wait before of \(earlier) (is \(later))"
            )
        }
        try problems.throwIfAny()
    }

    /// Draws the wait after an attempt.
    ///
    /// - Parameters:
    ///   - attempt: The number of the attempt that failed, from 1.
    ///   - previous: The wait before that attempt, or `nil` for the widest range of a decorrelated wait.
    ///   - random: The source of randomness.
    /// - Returns: The wait, from zero to the longest wait.
    package func wait(afterAttempt attempt: Int, previous: Duration? = nil, random: RandomSource) -> Duration {
        let ceiling = ceiling(afterAttempt: attempt)
        switch growth {
        case .constant(.none), .doubling(.none), .list(_, .none): return .nanoseconds(ceiling)
        case .constant(.full), .doubling(.full), .list(_, .full): return .nanoseconds(random.next(upTo: ceiling))
        case .constant(.equal), .doubling(.equal), .list(_, .equal):
            return .nanoseconds(ceiling - ceiling / 2 + random.next(upTo: ceiling / 2))
        case .decorrelated:
            let tripled = previous?.saturatingNanoseconds.saturatingMultiply(3) ?? ceiling
            return .nanoseconds(initial + random.next(upTo: min(ceiling, tripled) - initial))
        }
    }

    /// Draws a wait for a dependency that asked for a wait.
    ///
    /// - Parameters:
    ///   - floor: The wait that the dependency asked for.
    ///   - random: The source of randomness.
    /// - Returns: A wait of at least `floor`. With jitter, the wait is up to a tenth longer.
    func wait(noLessThan floor: Duration, random: RandomSource) -> Duration {
        let floor = max(0, floor.saturatingNanoseconds)
        switch growth {
        case .constant(.none), .doubling(.none), .list(_, .none): return .nanoseconds(floor)
        // Callers that were given the same wait must not retry together.
        default: return .nanoseconds(floor.saturatingAdd(random.next(upTo: floor / 10)))
        }
    }

    /// The longest wait after an attempt in nanoseconds.
    ///
    /// The longest wait never decreases from an attempt to the next.
    ///
    /// - Parameter attempt: The number of the attempt that failed, from 1.
    /// - Returns: The longest wait.
    func ceiling(afterAttempt attempt: Int) -> Int64 {
        switch growth {
        case .constant: return initial
        case .doubling: return grown(by: 2, times: max(attempt, 1) - 1)
        case .decorrelated: return grown(by: 3, times: max(attempt, 1))
        case .list(let waits, _):
            if waits.isEmpty { return 0 }
            return waits[min(max(attempt, 1), waits.count) - 1]
        }
    }

    private func grown(by factor: Int64, times: Int) -> Int64 {
        // From 1 ns, 63 doublings reach any longest wait.
        var wait = initial
        for _ in 0..<min(times, 63) where wait < maxWait { wait = wait.saturatingMultiply(factor) }
        return min(wait, maxWait)
    }
}

extension Backoff: CustomStringConvertible {
    /// The waits as text, such as `waits of 100 ms, doubling up to 20 s, full jitter`.
    public var description: String {
        let first = Duration.nanoseconds(initial).text
        let last = Duration.nanoseconds(maxWait).text
        switch growth {
        case _ where maxWait == 0: return "no waits"
        case .constant(let jitter): return "waits of \(first), \(jitter)"
        case .doubling(let jitter): return "waits of \(first), doubling up to \(last), \(jitter)"
        case .decorrelated: return "waits from \(first) to \(last), decorrelated jitter"
        case .list(let waits, let jitter):
            let list = waits.map { Duration.nanoseconds($0).text }
            return "waits of \(list.joined(separator: ", ")), \(jitter)"
        }
    }
}

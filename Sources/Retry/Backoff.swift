package import ReliabilityCore

/// How long to wait between attempts.
public struct Backoff: Hashable, Sendable {
    /// How much of a wait is left to chance.
    public enum Jitter: Hashable, Sendable, CustomStringConvertible {
        /// None: everyone who failed together tries again together.
        case none
        /// Anything from nothing to the whole wait: the least load on what is recovering (AWS, “Exponential Backoff
        /// And Jitter”, 2015).
        case full
        /// At least half the wait.
        case equal

        /// The kind in words.
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
        /// Up to three times the wait before.
        case decorrelated
    }

    private let initial: Int64
    private let cap: Int64
    private let growth: Growth

    private init(initial: Duration, cap: Duration, _ growth: Growth) {
        requireValid(initial >= .zero, "a backoff's wait must not be negative (is \(initial))")
        requireValid(cap >= initial, "a backoff's cap must be at least its first wait of \(initial) (is \(cap))")
        // Whole nanoseconds: the cap rounds down, for no wait exceeds it.
        let rounded = cap.saturatingNanoseconds
        self.cap = .nanoseconds(rounded) > cap ? rounded - 1 : rounded
        self.initial = min(initial.saturatingNanoseconds, self.cap)
        self.growth = growth
    }

    /// No wait at all.
    public static let none = Backoff(initial: .zero, cap: .zero, .constant(.none))

    /// The same wait each time.
    ///
    /// - Parameters:
    ///   - wait: The wait.
    ///   - jitter: How much of it is left to chance.
    /// - Returns: The backoff.
    /// - Precondition: `wait` is not negative.
    public static func constant(_ wait: Duration, jitter: Jitter = .equal) -> Backoff {
        Backoff(initial: wait, cap: wait, .constant(jitter))
    }

    /// A wait that doubles each time, up to a cap.
    ///
    /// - Parameters:
    ///   - initial: The wait after the first attempt.
    ///   - cap: The longest wait; jitter never exceeds it.
    ///   - jitter: How much of each wait is left to chance.
    /// - Returns: The backoff.
    /// - Precondition: `initial` is not negative and `cap` is at least `initial`.
    public static func exponential(
        initial: Duration = .milliseconds(100),
        cap: Duration = .seconds(20),
        jitter: Jitter = .full
    ) -> Backoff {
        Backoff(initial: initial, cap: cap, .doubling(jitter))
    }

    /// A wait between the shortest one and three times the one before, by chance.
    ///
    /// Waits are never near zero, and two callers that failed together drift apart with each attempt (“decorrelated
    /// jitter” in the same article). Here the cap bounds the range that is drawn from: cutting off afterwards would put
    /// most of the late waits on the cap itself, all together again.
    ///
    /// - Parameters:
    ///   - initial: The shortest wait.
    ///   - cap: The longest wait.
    /// - Returns: The backoff.
    /// - Precondition: `initial` is not negative and `cap` is at least `initial`.
    public static func decorrelated(
        initial: Duration = .milliseconds(100),
        cap: Duration = .seconds(20)
    ) -> Backoff {
        Backoff(initial: initial, cap: cap, .decorrelated)
    }

    /// The wait after an attempt.
    ///
    /// - Parameters:
    ///   - attempt: Which attempt failed, from 1. Any number is allowed: the wait saturates at the cap.
    ///   - previous: The wait before that attempt; without it, a decorrelated wait has the widest range it could have.
    ///   - random: Where chance comes from.
    /// - Returns: From zero to the cap.
    package func wait(afterAttempt attempt: Int, previous: Duration? = nil, random: RandomSource) -> Duration {
        let ceiling = ceiling(afterAttempt: attempt)
        switch growth {
        case .constant(.none), .doubling(.none): return .nanoseconds(ceiling)
        case .constant(.full), .doubling(.full): return .nanoseconds(random.next(upTo: ceiling))
        case .constant(.equal), .doubling(.equal):
            return .nanoseconds(ceiling - ceiling / 2 + random.next(upTo: ceiling / 2))
        case .decorrelated:
            let tripled = previous?.saturatingNanoseconds.saturatingMultiply(3) ?? ceiling
            return .nanoseconds(initial + random.next(upTo: min(ceiling, tripled) - initial))
        }
    }

    /// A wait that was asked for; with jitter up to a tenth more, lest those who were told the same come back together.
    func wait(noLessThan floor: Duration, random: RandomSource) -> Duration {
        let floor = max(0, floor.saturatingNanoseconds)
        switch growth {
        case .constant(.none), .doubling(.none): return .nanoseconds(floor)
        default: return .nanoseconds(floor.saturatingAdd(random.next(upTo: floor / 10)))
        }
    }

    /// The longest wait after an attempt, in nanoseconds; it never falls from one attempt to the next.
    func ceiling(afterAttempt attempt: Int) -> Int64 {
        switch growth {
        case .constant: return initial
        case .doubling: return grown(by: 2, times: max(attempt, 1) - 1)
        case .decorrelated: return grown(by: 3, times: max(attempt, 1))
        }
    }

    private func grown(by factor: Int64, times: Int) -> Int64 {
        // From 1 ns, 63 doublings reach any cap.
        var wait = initial
        for _ in 0..<min(times, 63) where wait < cap { wait = wait.saturatingMultiply(factor) }
        return min(wait, cap)
    }
}

extension Backoff: CustomStringConvertible {
    /// The waits in words, such as `waits of 100 ms, doubling up to 20 s, full jitter`.
    public var description: String {
        let first = Duration.nanoseconds(initial).text
        let last = Duration.nanoseconds(cap).text
        switch growth {
        case .constant where cap == 0: return "no waits"
        case .constant(let jitter): return "waits of \(first), \(jitter)"
        case .doubling(let jitter): return "waits of \(first), doubling up to \(last), \(jitter)"
        case .decorrelated: return "waits from \(first) to \(last), decorrelated jitter"
        }
    }
}

package import ReliabilityCore

/// How long to wait between attempts.
public struct Backoff: Hashable, Sendable {
    /// How much of a wait is left to chance.
    public enum Jitter: Hashable, Sendable {
        /// None: everyone who failed together tries again together.
        case none
        /// Anything from nothing to the whole wait: the least load on what is recovering (AWS, “Exponential Backoff
        /// And Jitter”, 2015).
        case full
        /// At least half the wait.
        case equal
    }

    private let initial: Int64
    private let cap: Int64
    private let doubles: Bool
    private let jitter: Jitter

    private init(initial: Duration, cap: Duration, doubles: Bool, jitter: Jitter) {
        precondition(initial >= .zero, "a backoff's wait must not be negative (is \(initial))")
        precondition(cap >= initial, "a backoff's cap must be at least its first wait of \(initial) (is \(cap))")
        self.initial = initial.saturatingNanoseconds
        self.cap = cap.saturatingNanoseconds
        self.doubles = doubles
        self.jitter = jitter
    }

    /// No wait at all.
    public static let none = Backoff(initial: .zero, cap: .zero, doubles: false, jitter: .none)

    /// The same wait each time.
    ///
    /// - Parameters:
    ///   - wait: The wait.
    ///   - jitter: How much of it is left to chance.
    /// - Returns: The backoff.
    /// - Precondition: `wait` is not negative.
    public static func constant(_ wait: Duration, jitter: Jitter = .equal) -> Backoff {
        Backoff(initial: wait, cap: wait, doubles: false, jitter: jitter)
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
        Backoff(initial: initial, cap: cap, doubles: true, jitter: jitter)
    }

    /// The wait after an attempt.
    ///
    /// - Parameters:
    ///   - attempt: Which attempt failed, from 1. Any number is allowed: the wait saturates at the cap.
    ///   - random: Where chance comes from.
    /// - Returns: From zero to the cap.
    package func wait(afterAttempt attempt: Int, random: RandomSource) -> Duration {
        let ceiling = ceiling(afterAttempt: attempt)
        switch jitter {
        case .none: return .nanoseconds(ceiling)
        case .full: return .nanoseconds(random.next(upTo: ceiling))
        case .equal: return .nanoseconds(ceiling - ceiling / 2 + random.next(upTo: ceiling / 2))
        }
    }

    private func ceiling(afterAttempt attempt: Int) -> Int64 {
        guard doubles, attempt > 1 else { return initial }
        let doublings = attempt - 1
        // Shifting further than the leading zeros would overflow: the cap is reached long before.
        guard initial > 0, doublings < initial.leadingZeroBitCount - 1 else { return initial == 0 ? 0 : cap }
        return min(cap, initial << Int64(doublings))
    }
}

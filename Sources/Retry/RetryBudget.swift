internal import ReliabilityCore

/// Bounds the extra attempts of many calls together: retries and hedges to one dependency.
public final class RetryBudget: Sendable {
    /// What an extra attempt is made for.
    enum Expense: Hashable, Sendable {
        /// A failure that may pass.
        case transient
        /// An answer that did not come in time.
        case timeout
        /// The dependency asked for less.
        case throttled
        /// An answer that is late.
        case hedge
    }

    /// The right to make one extra attempt.
    ///
    /// It counts from the moment it is given out; one that ends its life unused gives back what it cost.
    struct Reservation: ~Copyable, Sendable {
        private let budget: RetryBudget
        private var isUsed = false

        init(_ budget: RetryBudget) { self.budget = budget }

        /// The attempt begins.
        consuming func use() { isUsed = true }
    }

    /// A call began.
    func noteCall() {}

    /// A call succeeded at its first attempt.
    func noteSuccess() {}

    /// Asks for an extra attempt; nil when there is nothing left.
    func reserve(_ expense: Expense) -> Reservation? { Reservation(self) }
}

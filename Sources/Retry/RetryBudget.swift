internal import ReliabilityCore
internal import Synchronization

/// Bounds the extra attempts of many calls together: retries and hedges to one dependency.
///
/// ```swift
/// let budget = RetryBudget(.tokens(capacity: 500))
/// let retry = RetryPolicy(RetryConfiguration(.idempotent, maxAttempts: 3), budget: budget)
/// let hedge = HedgePolicy(after: .fixed(.milliseconds(50)), budget: budget)
/// ```
///
/// Without one, a dependency that fails gets three times its load from callers that try three times, at the worst moment.
/// With one, extra attempts end when too many of the calls need them, and come back when calls succeed again.
///
/// - An extra attempt counts from the moment at which it is decided, before the wait that precedes it. One that is
///   never made, because its caller was cancelled while it waited, gives back what it cost.
/// - An exhausted budget refuses extra attempts only: first attempts and those under way go on.
/// - Calls are counted by each policy that has the budget. Where a retry and a hedge with one budget are nested, a call
///   counts twice.
///
/// Share one budget among all calls to one dependency.
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
        private let grant: RetryBudgetState.Grant
        private var isUsed = false

        init(_ budget: RetryBudget, _ grant: RetryBudgetState.Grant) {
            self.budget = budget
            self.grant = grant
        }

        deinit { budget.settle(grant, isUsed: isUsed) }

        /// The attempt begins.
        consuming func use() { isUsed = true }
    }

    private let timeSource: TimeSource
    private let lock: Lock<RetryBudgetState>
    /// Whether calls count, so that one that does not matter costs neither the lock nor the time.
    private let countsCalls: Atomic<Bool>

    /// Creates a budget, which is full.
    ///
    /// - Parameters:
    ///   - configuration: How many extra attempts are allowed.
    ///   - clock: Measures the time of a window.
    public init(
        _ configuration: RetryBudgetConfiguration = .tokens(),
        clock: some Clock<Duration> = ContinuousClock()
    ) {
        timeSource = TimeSource(clock)
        lock = Lock(RetryBudgetState(configuration))
        countsCalls = Atomic(configuration.countsCalls)
    }

    /// How many extra attempts are allowed.
    public var configuration: RetryBudgetConfiguration { lock.withLock { $0.configuration } }

    /// How many retries after transient failures could be made now, one after the other.
    ///
    /// Asking changes nothing.
    public var available: Int {
        let now = timeSource.now
        return lock.withLock { $0.available(now: now) }
    }

    /// Changes the configuration.
    ///
    /// What was spent stays spent, as far as the new capacity reaches, and what a window has counted stays counted, as
    /// far as it lies in the new one. A budget that changes from one kind to the other begins anew.
    ///
    /// - Parameter configuration: How many extra attempts are allowed from now on.
    public func reload(_ configuration: RetryBudgetConfiguration) {
        let now = timeSource.now
        lock.withLock { state in
            state.reload(configuration, now: now)
            // Under the lock, so that of two reloads the same one is last in both.
            countsCalls.store(configuration.countsCalls, ordering: .relaxed)
        }
    }

    /// A call began.
    func noteCall() {
        guard countsCalls.load(ordering: .relaxed) else { return }
        let now = timeSource.now
        lock.withLock { $0.noteCall(now: now) }
    }

    /// A call succeeded at its first attempt.
    func noteSuccess() {
        if countsCalls.load(ordering: .relaxed) { return }
        lock.withLock { $0.noteSuccess() }
    }

    /// Asks for an extra attempt; nil when there is nothing left.
    func reserve(_ expense: Expense) -> Reservation? {
        let now = timeSource.now
        return lock.withLock { $0.reserve(expense, now: now) }.map { Reservation(self, $0) }
    }

    private func settle(_ grant: RetryBudgetState.Grant, isUsed: Bool) {
        let now = timeSource.now
        lock.withLock { $0.settle(grant, isUsed: isUsed, now: now) }
    }
}

extension RetryBudgetConfiguration {
    fileprivate var countsCalls: Bool {
        switch kind {
        case .tokens: false
        case .window: true
        }
    }
}

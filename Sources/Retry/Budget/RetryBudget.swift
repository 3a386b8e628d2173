public import ReliabilityCore
internal import Synchronization

/// A bound on the extra attempts of many calls together.
///
/// Extra attempts are the retries and hedges of calls to the same dependency.
///
/// ```swift
/// let budget = RetryBudget(.tokens(capacity: 500))
/// let retry = RetryPolicy(.idempotent, budget: budget)
/// let hedge = Hedger(.after(.milliseconds(50)), budget: budget)
/// ```
///
/// - An extra attempt counts from its decision, before the wait that precedes the attempt. An attempt that never begins
///   releases its reservation. An example is a call that its caller cancels during the wait.
/// - An exhausted budget rejects extra attempts only. First attempts and running attempts continue.
/// - Every policy with the budget counts its calls. A call through a nested retry and hedge with the same budget counts
///   twice.
///
/// Share a budget among all calls to the same dependency.
public final class RetryBudget: Sendable {
    /// The right to make an extra attempt.
    ///
    /// A reservation counts from its creation. An unused reservation is released at the end of its lifetime.
    struct Reservation: ~Copyable, Sendable {
        private let budget: RetryBudget
        private let permit: RetryBudgetStateMachine.Permit
        private var isUsed = false

        init(_ budget: RetryBudget, _ permit: RetryBudgetStateMachine.Permit) {
            self.budget = budget
            self.permit = permit
        }

        deinit { budget.settle(permit, isUsed: isUsed) }

        /// Records the start of the attempt.
        consuming func use() { isUsed = true }
    }

    private let timeSource: TimeSource
    private let lock: Lock<RetryBudgetStateMachine>
    /// A Boolean value that indicates whether the configuration counts calls.
    private let countsCalls: Atomic<Bool>

    /// Creates a full budget.
    ///
    /// - Parameters:
    ///   - configuration: The number of extra attempts. Defaults to ``Configuration/standard``.
    ///   - clock: The clock of the window. Defaults to `ContinuousClock`.
    public init(
        _ configuration: Configuration = .standard,
        clock: some Clock<Duration> = ContinuousClock()
    ) {
        requireValid(configuration.validate)
        timeSource = TimeSource(clock)
        lock = Lock(RetryBudgetStateMachine(configuration))
        countsCalls = Atomic(configuration.countsCalls)
    }

    /// The number of extra attempts that the budget allows.
    public var configuration: Configuration { lock.withLock { $0.configuration } }

    /// The number of retries after transient failures that the budget would allow now.
    ///
    /// Reading the number has no effect on the budget.
    public var available: Int {
        let now = timeSource.now
        return lock.withLock { $0.available(now: now) }
    }

    /// Changes the configuration.
    ///
    /// Consumed tokens stay consumed, up to the new capacity. Counted calls and attempts stay counted if they lie in
    /// the new window. A change between tokens and a window resets the budget.
    ///
    /// - Parameter configuration: The new configuration.
    /// - Throws: `ConfigurationError` if the configuration is not valid. The budget then stays unchanged.
    public func reload(_ configuration: Configuration) throws(ConfigurationError) {
        try configuration.validate()
        let now = timeSource.now
        lock.withLock { state in
            state.reload(configuration, now: now)
            // Under the lock, so that concurrent reloads store both values in the same order.
            countsCalls.store(configuration.countsCalls, ordering: .relaxed)
        }
    }

    /// Records a call.
    func recordCall() {
        // Without a window, a call takes no lock and reads no clock.
        guard countsCalls.load(ordering: .relaxed) else { return }
        let now = timeSource.now
        lock.withLock { $0.recordCall(now: now) }
    }

    /// Records the success of a first attempt.
    func recordSuccess() {
        if countsCalls.load(ordering: .relaxed) { return }
        lock.withLock { $0.recordSuccess() }
    }

    /// Reserves an extra attempt, or returns `nil` if the budget is exhausted.
    func reserve(_ cost: RetryCost) -> Reservation? {
        let now = timeSource.now
        return lock.withLock { $0.reserve(cost, now: now) }.map { Reservation(self, $0) }
    }

    private func settle(_ permit: RetryBudgetStateMachine.Permit, isUsed: Bool) {
        let now = timeSource.now
        lock.withLock { $0.settle(permit, isUsed: isUsed, now: now) }
    }
}

extension RetryBudget.Configuration {
    fileprivate var countsCalls: Bool {
        switch kind {
        case .tokens: false
        case .window: true
        }
    }
}

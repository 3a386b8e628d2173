/// The state of a retry budget, without a clock and without locks.
struct RetryBudgetStateMachine: Hashable {
    /// The right to make an extra attempt.
    struct Permit: Hashable {
        /// The number of tokens, or zero in a window.
        let cost: Int
        fileprivate let generation: UInt64
    }

    private(set) var configuration: RetryBudget.Configuration
    /// The number of tokens that are missing from the bucket.
    private var spent = 0
    private var window: BudgetWindow
    /// The number of changes between tokens and a window.
    ///
    /// A permit of an older generation has no effect.
    private var generation: UInt64 = 1

    init(_ configuration: RetryBudget.Configuration) {
        self.configuration = configuration
        window = Self.window(of: configuration)
    }

    private static func window(of configuration: RetryBudget.Configuration) -> BudgetWindow {
        switch configuration.kind {
        case .tokens: BudgetWindow(length: 20)
        case .window(let window): BudgetWindow(length: window.length)
        }
    }

    /// Records a call.
    mutating func recordCall(now: Int64) {
        if case .window = configuration.kind { window.recordCall(now: now) }
    }

    /// Records the success of a first attempt.
    mutating func recordSuccess() {
        if case .tokens(let tokens) = configuration.kind { spent = max(0, spent - tokens.refill) }
    }

    /// Reserves an extra attempt, or returns `nil` if the budget is exhausted.
    mutating func reserve(_ cause: RetryCost, now: Int64) -> Permit? {
        switch configuration.kind {
        case .tokens(let tokens):
            let cost = tokens.cost(of: cause)
            guard tokens.capacity - spent >= cost else { return nil }
            spent += cost
            return Permit(cost: cost, generation: generation)
        case .window(let configuration):
            guard window.reserve(configuration, now: now) else { return nil }
            return Permit(cost: 0, generation: generation)
        }
    }

    /// Settles a permit.
    ///
    /// Each permit is settled once.
    ///
    /// - Parameters:
    ///   - permit: The permit.
    ///   - isUsed: `true` if the attempt begins. The cost of an unused permit is returned.
    ///   - now: The reading of the clock.
    mutating func settle(_ permit: Permit, isUsed: Bool, now: Int64) {
        guard permit.generation == generation else { return }
        switch configuration.kind {
        case .tokens: if !isUsed { spent = max(0, spent - permit.cost) }
        case .window: window.settle(isUsed: isUsed, now: now)
        }
    }

    /// The number of extra attempts after transient failures that can be reserved now.
    func available(now: Int64) -> Int {
        switch configuration.kind {
        case .tokens(let tokens): (tokens.capacity - spent) / tokens.transient
        case .window(let configuration): window.available(configuration, now: now)
        }
    }

    /// Changes the configuration and keeps consumed tokens and counted attempts.
    mutating func reload(_ new: RetryBudget.Configuration, now: Int64) {
        switch (configuration.kind, new.kind) {
        case (.tokens, .tokens(let tokens)):
            spent = min(spent, tokens.capacity)
        case (.window(let old), .window(let new)):
            if old.length != new.length { window = window.resized(to: new.length, now: now) }
        case (.tokens, .window), (.window, .tokens):
            spent = 0
            window = Self.window(of: new)
            generation += 1
        }
        configuration = new
    }
}

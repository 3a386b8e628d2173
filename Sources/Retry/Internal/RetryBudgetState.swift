/// The whole behaviour of a retry budget, without clock and locks.
struct RetryBudgetState: Hashable {
    /// What an extra attempt was given.
    struct Grant: Hashable {
        /// The tokens; zero in a window, where all attempts cost one.
        let cost: Int
        fileprivate let generation: UInt64
    }

    private(set) var configuration: RetryBudgetConfiguration
    /// The tokens that are missing from the bucket.
    private var spent = 0
    private var window: BudgetWindow
    /// Grows when the kind changes; a grant is settled in its own generation only.
    private var generation: UInt64 = 1

    init(_ configuration: RetryBudgetConfiguration) {
        self.configuration = configuration
        window = Self.window(of: configuration)
    }

    private static func window(of configuration: RetryBudgetConfiguration) -> BudgetWindow {
        switch configuration.kind {
        case .tokens: BudgetWindow(length: 20)
        case .window(let window): BudgetWindow(length: window.length)
        }
    }

    /// A call began.
    mutating func noteCall(now: Int64) {
        if case .window = configuration.kind { window.noteCall(now: now) }
    }

    /// A call succeeded at its first attempt.
    mutating func noteSuccess() {
        if case .tokens(let tokens) = configuration.kind { spent = max(0, spent - tokens.refill) }
    }

    /// Gives out the right to one extra attempt; nil when there is not enough left.
    mutating func reserve(_ expense: RetryBudget.Expense, now: Int64) -> Grant? {
        switch configuration.kind {
        case .tokens(let tokens):
            let cost = tokens.cost(of: expense)
            guard tokens.capacity - spent >= cost else { return nil }
            spent += cost
            return Grant(cost: cost, generation: generation)
        case .window(let configuration):
            guard window.reserve(configuration, now: now) else { return nil }
            return Grant(cost: 0, generation: generation)
        }
    }

    /// The attempt begins, or never will; each grant is settled once.
    mutating func settle(_ grant: Grant, isUsed: Bool, now: Int64) {
        guard grant.generation == generation else { return }
        switch configuration.kind {
        case .tokens: if !isUsed { spent = max(0, spent - grant.cost) }
        case .window: window.settle(isUsed: isUsed, now: now)
        }
    }

    /// How many extra attempts after transient failures could be given out at a time.
    func available(now: Int64) -> Int {
        switch configuration.kind {
        case .tokens(let tokens): (tokens.capacity - spent) / tokens.transient
        case .window(let configuration): window.available(configuration, now: now)
        }
    }

    /// Changes the configuration; what was spent stays spent.
    mutating func reload(_ new: RetryBudgetConfiguration, now: Int64) {
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

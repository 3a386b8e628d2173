/// The course of one hedged call: which attempts are under way, and what follows what happens to them.
struct HedgeState: Hashable {
    /// What is to be done.
    enum Action: Hashable {
        /// Wait for an attempt.
        case wait
        /// Start another attempt, if the budget allows it.
        case hedge
        /// The call has failed.
        case fail
    }

    private let maxAttempts: Int
    /// How many attempts there were.
    private(set) var started = 1
    /// How many of them are under way.
    private(set) var running = 1
    /// Whether another attempt may help.
    private(set) var isHopeful = true

    init(maxHedges: Int) { maxAttempts = maxHedges + 1 }

    /// Whether there may be another attempt.
    var mayHedge: Bool { isHopeful && started < maxAttempts }

    /// The delay that began with an attempt is over.
    mutating func delayElapsed(after attempt: Int) -> Action {
        // Another may have been started meanwhile, because this one failed: then its delay counts.
        mayHedge && attempt == started ? .hedge : .wait
    }

    /// An attempt failed.
    ///
    /// - Parameter canBeMended: Whether another attempt may succeed where this one failed.
    /// - Returns: What is to be done; another attempt is not delayed when none is under way.
    mutating func attemptFailed(canBeMended: Bool) -> Action {
        running -= 1
        if !canBeMended { isHopeful = false }
        if running > 0 { return .wait }
        return mayHedge ? .hedge : .fail
    }

    /// The attempt that was to be started was.
    mutating func hedgeStarted() {
        started += 1
        running += 1
    }

    /// The attempt that was to be started was not: what is under way goes on.
    mutating func hedgeRefused() -> Action {
        running > 0 ? .wait : .fail
    }
}

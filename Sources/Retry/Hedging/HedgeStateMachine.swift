/// The state of one hedged call: the number of started and running attempts.
struct HedgeStateMachine: Hashable {
    /// The next step after an event.
    enum Action: Hashable {
        /// Wait for the end of an attempt or a delay.
        case wait
        /// Start another attempt if the budget allows.
        case hedge
        /// End the call as failed.
        case fail
    }

    private let maxAttempts: Int
    /// The number of attempts that were started.
    private(set) var started = 1
    /// The number of attempts that are running.
    private(set) var running = 1
    /// A Boolean value that indicates whether another attempt can succeed.
    private(set) var isRetryable = true

    init(maxHedges: Int) { maxAttempts = maxHedges + 1 }

    /// A Boolean value that indicates whether another attempt may be started.
    var canStartHedge: Bool { isRetryable && started < maxAttempts }

    /// Decides the next step when the delay of an attempt has elapsed.
    mutating func delayElapsed(after attempt: Int) -> Action {
        // If the attempt has failed and another attempt was started, the delay of the other attempt counts.
        canStartHedge && attempt == started ? .hedge : .wait
    }

    /// Decides the next step when an attempt has failed.
    ///
    /// Without a running attempt, another attempt starts without a delay.
    ///
    /// - Parameter isRetryable: `true` if another attempt can succeed after this failure.
    /// - Returns: The next step.
    mutating func attemptFailed(isRetryable: Bool) -> Action {
        running -= 1
        if !isRetryable { self.isRetryable = false }
        if running > 0 { return .wait }
        return canStartHedge ? .hedge : .fail
    }

    /// Records the start of another attempt.
    mutating func hedgeStarted() {
        started += 1
        running += 1
    }

    /// Decides the next step when another attempt was not started.
    mutating func hedgeRejected() -> Action {
        running > 0 ? .wait : .fail
    }
}

internal import ReliabilityCore

/// The attempts of one call that failed so far.
struct RetryHistory: Sendable {
    /// How many attempts are kept from the beginning, and as many from the end.
    static let kept = 10

    private(set) var attempts: [RetryAttempt] = []
    private(set) var count = 0
    private(set) var running: Int64 = 0
    private(set) var waiting: Int64 = 0
    /// Whether an attempt may have had an effect.
    private(set) var mayHaveBeenSent = false
    /// Whether no attempt reached the dependency.
    private(set) var isRejected = true

    /// Appends an attempt.
    mutating func append(_ error: any Error, wasPossiblySent: Bool, waited: Int64, took: Int64) {
        count = min(count, .max - 1) + 1
        running = running.saturatingAdd(took)
        waiting = waiting.saturatingAdd(waited)
        mayHaveBeenSent = mayHaveBeenSent || wasPossiblySent
        isRejected = isRejected && error.isRejection
        if attempts.count == 2 * Self.kept { attempts.remove(at: Self.kept) }
        attempts.append(
            RetryAttempt(number: count, waited: .nanoseconds(waited), took: .nanoseconds(took), error: error)
        )
    }
}

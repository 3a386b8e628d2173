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
    /// Whether every attempt ended in a rejection by a policy.
    private(set) var isRejected = true

    /// Whether an attempt's error says all that there is to say of the call.
    ///
    /// - Parameters:
    ///   - error: What the error of the last attempt means.
    ///   - isEnough: Whether the last attempt's error is enough if it does not deny that an attempt may have been sent.
    /// - Returns: Whether the error is thrown as it is.
    func isTold(by error: any Error, isEnough: Bool) -> Bool {
        count == 1 || (isRejected || isEnough) && !isDenied(by: error)
    }

    /// Whether an error says that nothing was sent, although an attempt so far may have been.
    func isDenied(by error: any Error) -> Bool {
        mayHaveBeenSent && !((error as? any ReliabilityError)?.mayHaveBeenSent ?? true)
    }

    /// Appends an attempt.
    ///
    /// - Parameters:
    ///   - error: What it threw.
    ///   - meaning: What the error means: itself, or what it was mapped to.
    ///   - wasPossiblySent: Whether the attempt may have had an effect.
    ///   - waited: The wait before it.
    ///   - took: How long it ran.
    mutating func append(_ error: any Error, meaning: any Error, wasPossiblySent: Bool, waited: Int64, took: Int64) {
        count = min(count, .max - 1) + 1
        running = running.saturatingAdd(took)
        waiting = waiting.saturatingAdd(waited)
        mayHaveBeenSent = mayHaveBeenSent || wasPossiblySent
        isRejected = isRejected && meaning.isRejection
        if attempts.count == 2 * Self.kept { attempts.remove(at: Self.kept) }
        attempts.append(
            RetryAttempt(number: count, waited: .nanoseconds(waited), took: .nanoseconds(took), error: error)
        )
    }
}

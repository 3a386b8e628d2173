internal import ReliabilityCore

/// The failed attempts of a call.
struct AttemptLog: Sendable {
    /// The number of attempts that the log keeps from the start of a call, and from the end.
    static let kept = 10

    private(set) var attempts: [RetryAttempt] = []
    private(set) var count = 0
    private(set) var running: Int64 = 0
    private(set) var waiting: Int64 = 0
    /// A Boolean value that indicates whether an attempt may have had an effect.
    private(set) var mayHaveBeenSent = false
    /// A Boolean value that indicates whether every attempt ended in a rejection by a policy.
    private(set) var isRejected = true

    /// Returns whether a call throws the error of its last attempt instead of a ``RetryError``.
    ///
    /// - Parameters:
    ///   - error: The meaning of the error of the last attempt.
    ///   - prefersLastError: `true` if the configuration asks for the error of the last attempt.
    /// - Returns: `true` for the error of the last attempt, `false` for a ``RetryError``.
    func shouldRethrow(_ error: any Error, prefersLastError: Bool) -> Bool {
        count == 1 || (isRejected || prefersLastError) && !isContradicted(by: error)
    }

    /// Returns whether an error states that nothing was sent although an attempt may have been sent.
    func isContradicted(by error: any Error) -> Bool {
        mayHaveBeenSent && !(error.reliability?.mayHaveBeenSent ?? true)
    }

    /// Appends an attempt.
    ///
    /// - Parameters:
    ///   - error: The error of the attempt.
    ///   - meaning: The error itself, or the error that it was mapped to.
    ///   - wasPossiblySent: `true` if the attempt may have had an effect.
    ///   - waited: The wait before the attempt in nanoseconds.
    ///   - took: The duration of the attempt in nanoseconds.
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

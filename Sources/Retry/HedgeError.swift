public import ReliabilityCore

/// All attempts of a hedged call failed.
///
/// A call that had one attempt only throws that attempt's own error, without this wrapper.
public struct HedgeError: InnerCallError, AttemptsError, CustomStringConvertible {
    /// One attempt that failed.
    public struct Attempt: Sendable {
        /// Which attempt, from 1.
        public let number: Int
        /// How long after the call it began.
        public let startedAfter: Duration
        /// How long it took.
        public let took: Duration
        /// What it threw.
        public let error: any Error
    }

    /// The attempts, in the order in which they failed.
    ///
    /// There are at least two.
    public let attempts: [Attempt]
    /// The error that decides what this one says: the first that no attempt can mend, else the last.
    public let decisiveError: any Error

    init(attempts: [Attempt], decisiveError: any Error) {
        self.attempts = attempts
        self.decisiveError = decisiveError
    }

    package var decidingError: any Error { decisiveError }

    /// The code `hedge.exhausted`.
    public var code: ErrorCode { "hedge.exhausted" }

    /// The meaning of the failure to a client of this service, decided by the decisive error as in a ``RetryError``.
    ///
    /// `unavailable` instead of a category that finds fault with the request, because the client of this service is not at
    /// fault; `internal` for an error that says nothing of itself.
    public var category: ErrorCategory { .ofServiceFailure(decisiveError as? any ReliabilityError) }

    /// A constant sentence.
    public var message: String { "The service is not available at the moment." }

    /// The longest hint of the attempts that were not rejected, or of all attempts if all were rejected.
    ///
    /// The time for which a breaker stays open is no hint of a dependency that another attempt has reached.
    public var retryAfter: Duration? {
        let isRejection = isRejection
        let errors = attempts.lazy.map(\.error).filter { isRejection || !$0.isRejection }
        return errors.compactMap { ($0 as? any ReliabilityError)?.retryAfter }.max()
    }

    /// The decisive error.
    public var underlyingError: (any Error)? { decisiveError }

    /// Whether all attempts ended in a rejection by a policy.
    public var isRejection: Bool { attempts.allSatisfy { $0.error.isRejection } }

    /// Whether one of the attempts may have had an effect: it may unless its operation stated that nothing was sent.
    public var mayHaveBeenSent: Bool { attempts.contains { $0.error.leavesOperationPossiblySent } }

    /// The code and every attempt, for logs.
    public var description: String {
        let attempts = attempts.map { "\($0.number) after \($0.startedAfter.text) took \($0.took.text): \($0.error)" }
        return "\(code): \(attempts.joined(separator: "; "))"
    }
}

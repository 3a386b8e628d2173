public import ReliabilityCore

/// The failure of all attempts of a hedged call.
///
/// A call with a single attempt throws the error of that attempt instead.
public struct HedgeError: InnerCallError, AttemptsError, CustomStringConvertible {
    /// A failed attempt.
    public struct Attempt: Sendable {
        /// The number of the attempt, from 1.
        public let number: Int
        /// The time from the start of the call to the start of the attempt.
        public let startedAfter: Duration
        /// The duration of the attempt.
        public let took: Duration
        /// The error of the attempt.
        public let error: any Error
    }

    /// The attempts in the order of their failures, at least two.
    public let attempts: [Attempt]
    /// The error that decides the category of the call.
    ///
    /// The decisive error is the first error that is not classified as ``RetryDecision/retry``. If all errors are, the
    /// decisive error is the last error.
    public let decisiveError: any Error

    init(attempts: [Attempt], decisiveError: any Error) {
        self.attempts = attempts
        self.decisiveError = decisiveError
    }

    /// The code `hedge.exhausted`.
    public var code: ErrorCode { "hedge.exhausted" }

    /// The category of the failure for a client of this service.
    ///
    /// The category follows from ``decisiveError`` by the table of ``RetryError/category``.
    public var category: ErrorCategory { .ofFailedDependency(decisiveError.reliability) }

    /// The message for clients.
    public var message: String { Self.unavailableMessage }

    /// The longest wait that an attempt asks for, or `nil` if no attempt asks for a wait.
    ///
    /// Rejected attempts count only if all attempts were rejected.
    public var retryAfter: Duration? {
        // The open time of a breaker is no hint of a dependency that another attempt has reached.
        let isRejection = isRejection
        let errors = attempts.lazy.map(\.error).filter { isRejection || !$0.isRejection }
        return errors.compactMap { $0.reliability?.retryAfter }.max()
    }

    /// The decisive error.
    public var underlyingError: (any Error)? { decisiveError }

    /// A Boolean value that indicates whether all attempts ended in a rejection by a policy.
    public var isRejection: Bool { attempts.allSatisfy { $0.error.isRejection } }

    /// A Boolean value that indicates whether an attempt may have had an effect.
    ///
    /// An attempt may have had an effect unless its operation stated that nothing was sent.
    public var mayHaveBeenSent: Bool { attempts.contains { $0.error.leavesOperationPossiblySent } }

    /// The code and every attempt, for logs.
    public var description: String {
        let attempts = attempts.map { "\($0.number) after \($0.startedAfter.text) took \($0.took.text): \($0.error)" }
        return "\(code): \(attempts.joined(separator: "; "))"
    }
}

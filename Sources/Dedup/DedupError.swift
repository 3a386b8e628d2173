public import ReliabilityCore

/// A call was not made, because it is or may be a duplicate.
public struct DedupError: ReliabilityError, CustomStringConvertible {
    /// Why.
    ///
    /// The set may grow.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// The first call is still running; ask again after this.
        case inProgress(retryAfter: Duration)
        /// The key was used before, for a request that was not the same.
        case mismatch
        /// The call was made before; it is refused for this long, for ever when nil.
        case duplicate(remaining: Duration?)
        /// The call was made before, and the store had no room for its result.
        case resultNotKept
        /// The store is down, so nobody can say whether it is a duplicate.
        case storeUnavailable
        /// The key is empty, or has an empty component.
        case incompleteKey
        /// What is stored under the key cannot be read, so nobody can say what became of the first call.
        case unreadable
    }

    /// Why.
    public let reason: Reason
    /// The store's error, or what reading the stored result threw.
    public let underlyingError: (any Error)?

    init(_ reason: Reason, underlyingError: (any Error)? = nil) {
        self.reason = reason
        self.underlyingError = underlyingError
    }

    /// A code such as `dedup.in_progress` or `dedup.mismatch`.
    public var code: ErrorCode {
        switch reason {
        case .inProgress: "dedup.in_progress"
        case .mismatch: "dedup.mismatch"
        case .duplicate: "dedup.duplicate"
        case .resultNotKept: "dedup.result_not_kept"
        case .storeUnavailable: "dedup.store_unavailable"
        case .incompleteKey: "dedup.incomplete_key"
        case .unreadable: "dedup.unreadable"
        }
    }

    /// `conflict` for a duplicate, `unprocessable` for a mismatch, `unavailable` when the store is down.
    public var category: ErrorCategory {
        switch reason {
        case .inProgress, .duplicate, .resultNotKept: .conflict
        case .mismatch: .unprocessable
        case .storeUnavailable: .unavailable
        case .incompleteKey: .invalid
        case .unreadable: .internal
        }
    }

    /// A constant sentence for each reason.
    public var message: String {
        switch reason {
        case .inProgress: "The same request is being processed."
        case .mismatch: "The idempotency key was used for a different request."
        case .duplicate: "The same request was made before."
        case .resultNotKept: "The same request was made before, and its result is not available."
        case .storeUnavailable: "The request cannot be processed at the moment."
        case .incompleteKey: "The idempotency key is missing."
        case .unreadable: "The request cannot be processed."
        }
    }

    /// When the first call may be over, or when the window ends.
    public var retryAfter: Duration? {
        switch reason {
        case .inProgress(let wait): wait
        case .duplicate(let remaining): remaining
        case .mismatch, .resultNotKept, .storeUnavailable, .incompleteKey, .unreadable: nil
        }
    }

    /// Always: the operation did not run.
    public var isRejection: Bool { true }

    /// The code and the cause, for logs.
    public var description: String { underlyingError.map { "\(code): \($0)" } ?? code.description }
}

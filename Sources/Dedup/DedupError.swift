public import ReliabilityCore

/// The rejection of a call that is a duplicate or may be a duplicate.
///
/// The operation did not run for the call that throws the error.
public struct DedupError: ReliabilityError, CustomStringConvertible {
    /// The reason of a rejection.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// The first call is still running, or its result is not written yet.
        ///
        /// The associated value is the recommended wait before the next call with the key.
        case inProgress(retryAfter: Duration)
        /// The key was used before for a request with another fingerprint.
        case mismatch
        /// The call was made before.
        ///
        /// Duplicates are rejected for the remaining time, or forever if the time is `nil`.
        case duplicate(remaining: Duration?)
        /// The call was made before, and the store had no room for its result.
        ///
        /// The operation does not run again. The application answers from its own records.
        case resultNotKept
        /// The store did not answer in time, so the call may be a duplicate.
        case storeUnavailable
        /// The key has no component, or an empty component.
        case incompleteKey
        /// The stored claim or result has a format that this release cannot read.
        case unreadable
    }

    /// The reason of the rejection.
    public let reason: Reason
    /// The error of the store, or the error thrown while the stored result was read.
    public let underlyingError: (any Error)?

    init(_ reason: Reason, underlyingError: (any Error)? = nil) {
        self.reason = reason
        self.underlyingError = underlyingError
    }

    /// The code of the reason, such as `dedup.in_progress` or `dedup.mismatch`.
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

    /// The category of the reason.
    ///
    /// A duplicate is a `conflict`. A mismatch is `unprocessable`, a store that is down is `unavailable`, an incomplete
    /// key is `invalid`, and an unreadable result is `internal`.
    public var category: ErrorCategory {
        switch reason {
        case .inProgress, .duplicate, .resultNotKept: .conflict
        case .mismatch: .unprocessable
        case .storeUnavailable: .unavailable
        case .incompleteKey: .invalid
        case .unreadable: .internal
        }
    }

    /// The message for clients, which contains neither the key nor the operation.
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

    /// The recommended wait for a call in progress, the remaining window of a duplicate, or `nil` for other reasons.
    public var retryAfter: Duration? {
        switch reason {
        case .inProgress(let wait): wait
        case .duplicate(let remaining): remaining
        case .mismatch, .resultNotKept, .storeUnavailable, .incompleteKey, .unreadable: nil
        }
    }

    /// Always `true`: the operation did not run.
    public var isRejection: Bool { true }

    /// The code and the underlying error, for logs.
    public var description: String { underlyingError.map { "\(code): \($0)" } ?? code.description }
}

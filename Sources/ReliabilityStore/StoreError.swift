public import ReliabilityCore

/// A store did not do what it was asked.
///
/// Unless the reason is ``Reason/unknownOutcome``, nothing changed. Keys and values never appear in it.
public struct StoreError: ReliabilityError, CustomStringConvertible {
    /// Why.
    ///
    /// The set may grow.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// The store cannot be reached, or did not answer in time.
        case unavailable
        /// The write may have happened or not, and the store cannot say which.
        case unknownOutcome
        /// There is no space for it; it may work again later.
        case diskFull
        /// The store holds as much as it was configured to.
        case capacityExceeded
        /// A key, a value or a commit exceeds the store's limits, or a call makes no sense.
        case invalid
        /// What is on disk is damaged.
        case corruption(file: String, offset: Int64)
        /// Another owner has the store open.
        case locked
        /// The files were written by a version that this one does not know.
        case unsupportedFormat(Int)
        /// The store failed for good and must be opened anew.
        case failed
        /// The store was closed.
        case closed
        /// The store was opened to be read only, or its file system is mounted so.
        case readOnly
        /// The caller's task was cancelled before the write began.
        case cancelled
    }

    /// Why.
    public let reason: Reason
    /// What happened, for logs.
    public let explanation: String
    /// The error that caused this one.
    public let underlyingError: (any Error)?

    /// Creates an error.
    public init(_ reason: Reason, _ explanation: String, underlyingError: (any Error)? = nil) {
        self.reason = reason
        self.explanation = explanation
        self.underlyingError = underlyingError
    }

    /// A code such as `store.unavailable` or `store.unknown_outcome`.
    public var code: ErrorCode {
        switch reason {
        case .unavailable: "store.unavailable"
        case .unknownOutcome: "store.unknown_outcome"
        case .diskFull: "store.disk_full"
        case .capacityExceeded: "store.capacity_exceeded"
        case .invalid: "store.invalid"
        case .corruption: "store.corruption"
        case .locked: "store.locked"
        case .unsupportedFormat: "store.unsupported_format"
        case .failed: "store.failed"
        case .closed: "store.closed"
        case .readOnly: "store.read_only"
        case .cancelled: "store.cancelled"
        }
    }

    /// `unavailable`, for what another attempt may find mended; otherwise `internal` or `cancelled`.
    public var category: ErrorCategory {
        switch reason {
        case .unavailable, .unknownOutcome, .diskFull, .capacityExceeded, .closed, .readOnly: .unavailable
        case .cancelled: .cancelled
        case .invalid, .corruption, .locked, .unsupportedFormat, .failed: .internal
        }
    }

    /// A constant sentence.
    public var message: String {
        category == .cancelled ? "The request was cancelled." : "The service cannot store data at the moment."
    }

    /// The code and what happened, for logs.
    public var description: String { "\(code): \(explanation)" }
}

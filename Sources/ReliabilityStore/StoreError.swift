public import ReliabilityCore

/// The failure of a call to a store.
///
/// Nothing changed, unless the reason is ``Reason/unknownOutcome``. The error never contains a key or a value.
public struct StoreError: ReliabilityError, CustomStringConvertible {
    /// The reason of a failure.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// The store cannot be reached or did not answer in time.
        case unavailable
        /// The write was made or was not made, and the store cannot determine the outcome.
        case unknownOutcome
        /// The disk has no space for the write. A later write may succeed.
        case diskFull
        /// The write would exceed the configured capacity of the store.
        case capacityExceeded
        /// An argument is invalid or exceeds a limit of the store.
        case invalid
        /// The stored data is damaged at this offset of the file.
        case corruption(file: String, offset: Int64)
        /// Another owner has the store open.
        case locked
        /// The files have a format that this version does not support.
        case unsupportedFormat(Int)
        /// The store failed permanently and must be opened again.
        case failed
        /// The store was closed.
        case closed
        /// The store was opened as read-only or its file system is mounted as read-only.
        case readOnly
        /// The caller's task was cancelled before the write began.
        case cancelled
    }

    /// The reason.
    public let reason: Reason
    /// A description of the failure, for logs.
    public let explanation: String
    /// The error that caused the failure, or `nil` if there is none.
    public let underlyingError: (any Error)?

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - reason: The reason.
    ///   - explanation: A description of the failure without keys and values, for logs.
    ///   - underlyingError: The error that caused the failure. Defaults to `nil`.
    public init(_ reason: Reason, _ explanation: String, underlyingError: (any Error)? = nil) {
        self.reason = reason
        self.explanation = explanation
        self.underlyingError = underlyingError
    }

    /// The error code of the reason, such as `store.unavailable` or `store.unknown_outcome`.
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

    /// The error category of the reason.
    ///
    /// The category is `cancelled` for ``Reason/cancelled`` and `unavailable` for a failure after which a later attempt
    /// may succeed. Otherwise the category is `internal`.
    public var category: ErrorCategory {
        switch reason {
        case .unavailable, .unknownOutcome, .diskFull, .capacityExceeded, .closed, .readOnly: .unavailable
        case .cancelled: .cancelled
        case .invalid, .corruption, .locked, .unsupportedFormat, .failed: .internal
        }
    }

    /// A message for clients, without details of the store.
    public var message: String {
        category == .cancelled ? "The request was cancelled." : "The service cannot store data at the moment."
    }

    /// The code and the explanation, for logs.
    public var description: String { "\(code): \(explanation)" }
}

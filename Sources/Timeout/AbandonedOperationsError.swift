public import ReliabilityCore

/// A call was not begun because too many before it still run although their callers have walked away.
public struct AbandonedOperationsError: ReliabilityError, Hashable, CustomStringConvertible {
    /// How many operations were abandoned.
    public let count: Int
    /// How many are allowed.
    public let limit: Int

    /// `timeout.too_many_abandoned`.
    public var code: ErrorCode { "timeout.too_many_abandoned" }
    /// `unavailable`.
    public var category: ErrorCategory { .unavailable }
    /// A constant sentence.
    public var message: String { "The service is not available at the moment." }
    /// Always: the call was not begun.
    public var isRejection: Bool { true }
    /// The code and the figures, for logs.
    public var description: String { "\(code): \(count) operations run on without a caller, \(limit) are allowed" }
}

public import ReliabilityCore

/// The error of a call that did not begin because too many abandoned operations still run.
public struct AbandonedOperationsError: ReliabilityError, Hashable, CustomStringConvertible {
    /// The number of abandoned operations when the call was rejected.
    public let count: Int
    /// The allowed number of abandoned operations.
    public let limit: Int

    /// The code `timeout.too_many_abandoned`.
    public var code: ErrorCode { "timeout.too_many_abandoned" }
    /// The category `unavailable`.
    public var category: ErrorCategory { .unavailable }
    /// The message for clients, which is the same for every error of this type.
    public var message: String { Self.unavailableMessage }
    /// Always `true`, because the call did not begin.
    public var isRejection: Bool { true }
    /// The code and both numbers, for logs.
    public var description: String { "\(code): \(count) abandoned operations still run, the limit is \(limit)" }
}

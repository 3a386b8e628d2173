public import ReliabilityCore

/// The error of a call that a bulkhead rejected before the call began.
public struct BulkheadError: ReliabilityError, Hashable, CustomStringConvertible {
    /// The reason of a rejection.
    @nonexhaustive
    public enum Reason: Hashable, Sendable, CaseIterable {
        /// All places are occupied and the queue is full.
        case full
        /// A call of a higher priority, or of a tenant with fewer waiting calls, took the place in the queue.
        case displaced
        /// The call has waited for the longest time.
        case waitedTooLong
        /// The call would not end before its deadline.
        case deadline
        /// Calls of the tenant have waited for a long time without a pause, and a newer call had precedence.
        case overloaded
    }

    /// The reason of the rejection.
    public let reason: Reason
    /// The priority of the call.
    public let priority: CallPriority
    private let wait: Duration

    init(_ reason: Reason, _ priority: CallPriority, retryAfter wait: Duration) {
        self.reason = reason
        self.priority = priority
        self.wait = wait
    }

    /// The code of the reason, such as `bulkhead.full`.
    public var code: ErrorCode {
        switch reason {
        case .full: "bulkhead.full"
        case .displaced: "bulkhead.displaced"
        case .waitedTooLong: "bulkhead.waited_too_long"
        case .deadline: "bulkhead.deadline"
        case .overloaded: "bulkhead.overloaded"
        }
    }

    /// The category `unavailable`.
    public var category: ErrorCategory { .unavailable }
    /// The message for clients.
    public var message: String { Self.unavailableMessage }
    /// The estimated time until the queue has room again.
    ///
    /// The value is always positive and never `nil`.
    public var retryAfter: Duration? { wait }
    /// Always `true` because the call did not begin.
    public var isRejection: Bool { true }
    /// The code, the priority and the wait for logs.
    public var description: String { "\(code): a call of \(priority) priority, room in about \(wait.text)" }
}

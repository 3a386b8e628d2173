public import ReliabilityCore
public import ReliabilityStore

/// A commit with messages that stored and sent nothing, because something was in its way.
public struct OutboxConflict: InnerCallError, CustomStringConvertible {
    /// The cause of a conflict.
    ///
    /// The set may grow.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// The write at this index found its precondition false; `current` is what is there now.
        case write(index: Int, current: StoreEntry?)
        /// The identity of the message at this index belongs to another message: one that is dead, or that is pending
        /// with another topic or payload.
        ///
        /// An identity that is made from the data has to change with it (`order.updated:42:7`). One that is dead is free
        /// again once it is redriven and delivered, or removed.
        case message(index: Int, RecordState)
    }

    /// The cause of the conflict.
    public let reason: Reason

    /// Creates an error.
    public init(_ reason: Reason) { self.reason = reason }

    /// `outbox.conflict` or `outbox.identity_taken`.
    public var code: ErrorCode {
        switch reason {
        case .write: "outbox.conflict"
        case .message: "outbox.identity_taken"
        }
    }

    /// `conflict`.
    public var category: ErrorCategory { .conflict }

    /// A constant sentence.
    public var message: String { "The request conflicts with another one." }

    /// `false`: nothing was stored.
    public var mayHaveBeenSent: Bool { false }

    /// The code and the index, for logs.
    public var description: String {
        switch reason {
        case .write(let index, _): "\(code): write \(index) found its precondition false"
        case .message(let index, let state): "\(code): the identity of message \(index) belongs to one that is \(state)"
        }
    }
}

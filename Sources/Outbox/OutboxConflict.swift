public import ReliabilityCore
public import ReliabilityStore

/// A conflict that kept a commit with messages from storing and sending anything.
public struct OutboxConflict: InnerCallError, CustomStringConvertible {
    /// The cause of a conflict.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// The condition of the write at this index is false. `current` is the present entry, or `nil` if there is
        /// none.
        case write(index: Int, current: StoreEntry?)
        /// The identity of the message at this index belongs to another message in the given state.
        ///
        /// The other message is a dead letter or a pending message with other content. An identity that is made from
        /// data has to change with the data (`order.updated:42:7`). The identity of a dead letter is free again once
        /// the dead letter is redriven and delivered, or removed.
        case identityTaken(index: Int, RecordState)
    }

    /// The cause of the conflict.
    public let reason: Reason
    /// The taken identity, or `nil` if a write's condition is false.
    public let messageID: String?

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - reason: The cause of the conflict.
    ///   - messageID: The taken identity. Defaults to `nil`.
    public init(_ reason: Reason, messageID: String? = nil) {
        self.reason = reason
        self.messageID = messageID
    }

    /// `outbox.conflict` or `outbox.identity_taken`.
    public var code: ErrorCode {
        switch reason {
        case .write: "outbox.conflict"
        case .identityTaken: "outbox.identity_taken"
        }
    }

    /// The category `conflict`.
    public var category: ErrorCategory { .conflict }

    /// The message for clients.
    public var message: String { "The request conflicts with another one." }

    /// `false` because nothing was stored.
    public var mayHaveBeenSent: Bool { false }

    /// The code, the index and the taken identity, for logs.
    public var description: String {
        switch reason {
        case .write(let index, _): "\(code): the condition of write \(index) is false"
        case .identityTaken(let index, let state):
            "\(code): the identity of message \(index) (\(messageID ?? "unknown")) belongs to another message (\(state))"
        }
    }
}

internal import ReliabilityCore

/// The progress of a command that a client of another package sends.
///
/// A call may end while the client still waits for a connection. The client reports the start of the sending and learns
/// whether the call has ended. A call that ended as not sent therefore never sends its command later.
package final class CommandProgress: Sendable {
    private struct State {
        var isSent = false
        var hasEnded = false
    }
    private let state = Lock(State())

    package init() {}

    /// Records that the client sends the command.
    ///
    /// - Returns: `false` if the call has ended and the command must not be sent.
    package func begin() -> Bool {
        state.withLock { state in
            if state.hasEnded { return false }
            state.isSent = true
            return true
        }
    }

    /// A Boolean value that indicates whether the command may have been sent.
    package var isSent: Bool { state.withLock { $0.isSent } }

    /// Ends the call.
    ///
    /// - Returns: A Boolean value that indicates whether the command may have been sent.
    package func end() -> Bool {
        state.withLock { state in
            state.hasEnded = true
            return state.isSent
        }
    }
}

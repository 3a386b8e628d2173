#if Valkey
internal import NIOCore
internal import ReliabilityCore
internal import Valkey

/// A command with arguments of any bytes.
struct BinaryCommand: ValkeyCommand {
    /// The progress of a command, shared by all attempts of a client to send the command.
    final class Progress: Sendable {
        private enum State { case waiting, sent, ended, endedAfterSending }
        private let state = Lock(State.waiting)

        /// Records that the command is sent, or returns `false` if the call has ended.
        func begin() -> Bool {
            state.withLock { state in
                switch state {
                case .waiting, .sent:
                    state = .sent
                    return true
                case .ended, .endedAfterSending: return false
                }
            }
        }

        /// Ends the call.
        ///
        /// - Returns: A Boolean value that indicates whether the command may have been sent.
        func end() -> Bool {
            state.withLock { state in
                switch state {
                case .waiting: state = .ended
                case .sent: state = .endedAfterSending
                case .ended, .endedAfterSending: break
                }
                return state == .endedAfterSending
            }
        }
    }

    static let name = "SCRIPT"

    private let arguments: [ValkeyKey]
    private let keys: Range<Int>
    let progress = Progress()

    init(_ arguments: [[UInt8]], keys: Range<Int>) {
        self.arguments = arguments.map { ValkeyKey(ByteBuffer(bytes: $0)) }
        self.keys = keys
    }

    var keysAffected: ArraySlice<ValkeyKey> { arguments[keys.clamped(to: arguments.indices)] }

    // The client encodes a command when it writes the command to its connection, and not before.
    func encode(into encoder: inout ValkeyCommandEncoder) {
        if progress.begin() {
            encoder.encodeArray(arguments)
        } else {
            // The call has ended as not sent. A harmless command keeps that promise.
            encoder.encodeArray("PING")
        }
    }

    static func == (left: BinaryCommand, right: BinaryCommand) -> Bool { left.arguments == right.arguments }

    func hash(into hasher: inout Hasher) { hasher.combine(arguments) }
}
#endif

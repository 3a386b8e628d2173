#if Valkey
internal import NIOCore
internal import ReliabilityStore
internal import Valkey

/// A command with arguments of any bytes.
struct BinaryCommand: ValkeyCommand {
    static let name = "SCRIPT"

    private let arguments: [ValkeyKey]
    private let keys: Range<Int>
    let progress = CommandProgress()

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

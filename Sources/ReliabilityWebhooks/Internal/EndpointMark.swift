/// The stored state of an endpoint that fails or is disabled.
///
/// An endpoint without a mark is healthy.
enum EndpointMark: Hashable {
    /// The endpoint has failed since a time in Unix seconds.
    case failing(since: Int64, isQuarantined: Bool, isReported: Bool)
    /// The endpoint was disabled at a time in Unix seconds.
    case disabled(at: Int64, WebhookSender.DisablingReason)

    // The format 1, the kind, flags or the reason, and the time in eight bytes.
    var encoded: [UInt8] {
        let (kind, detail, time): (UInt8, UInt8, Int64) =
            switch self {
            case .failing(let time, let isQuarantined, let isReported):
                (0, (isQuarantined ? 1 : 0) | (isReported ? 2 : 0), time)
            case .disabled(let time, .gone): (1, 0, time)
            case .disabled(let time, .failed): (1, 1, time)
            }
        return [1, kind, detail] + bigEndianBytes(of: time)
    }

    init?(_ bytes: [UInt8]) {
        guard bytes.count == 11, bytes[0] == 1 else { return nil }
        let time = bigEndianInteger(bytes[3...])
        if bytes[1] == 0 {
            self = .failing(since: time, isQuarantined: bytes[2] & 1 != 0, isReported: bytes[2] & 2 != 0)
        } else {
            self = .disabled(at: time, bytes[2] == 0 ? .gone : .failed)
        }
    }
}

/// Returns the eight bytes of an integer in network order.
func bigEndianBytes(of value: Int64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> Int64(56 - 8 * $0)) }
}

/// Returns the integer of eight bytes in network order.
func bigEndianInteger(_ bytes: some Sequence<UInt8>) -> Int64 {
    bytes.reduce(0) { $0 << 8 | Int64($1) }
}

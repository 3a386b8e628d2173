import Foundation

/// A loop that writes prepared commands to a socket and reads all of their replies, without any other work.
///
/// The address is the path of the socket, a comma and the path of a file with the bytes of the commands. The loop sends
/// the commands of the file together and waits for all replies, as redis-benchmark does. The number of tasks is the
/// number of commands in the file.
@Sendable func measureRawCommands(_ address: String, _ count: Int, _ commands: Int) async throws -> Network.Figures {
    let parts = address.split(separator: ",").map(String.init)
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: parts[1])))
    let socket = try connect(parts[0])
    defer { close(socket) }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    let start = ContinuousClock.now
    for _ in 0..<count / commands {
        var sent = 0
        while sent < bytes.count {
            sent += max(0, bytes[sent...].withUnsafeBytes { write(socket, $0.baseAddress, $0.count) })
        }
        var counter = ReplyCounter()
        while counter.count < commands {
            let length = buffer.withUnsafeMutableBytes { read(socket, $0.baseAddress, $0.count) }
            guard length > 0 else { throw POSIXError(.ECONNRESET) }
            counter.add(buffer[0..<length])
        }
        precondition(counter.count == commands, "the server sent more replies than commands")
    }
    let elapsed = (ContinuousClock.now - start) / .seconds(1)
    return ["perSecond": Double(count / commands * commands) / elapsed]
}

private func connect(_ path: String) throws -> Int32 {
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
    #if canImport(Glibc)
    let file = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    #else
    let file = socket(AF_UNIX, SOCK_STREAM, 0)
    #endif
    let status = withUnsafeBytes(of: &name) {
        connect(file, $0.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
    }
    guard file >= 0, status == 0 else { throw POSIXError(.ECONNREFUSED) }
    return file
}

/// The number of complete replies in bytes that arrive in parts.
private struct ReplyCounter {
    private(set) var count = 0
    /// The elements that are missing of the present reply.
    private var missing = 0
    /// The bytes of a string, with its end, that are missing.
    private var skipped = 0
    private var kind: UInt8?
    private var number = 0
    private var isNegative = false

    mutating func add(_ bytes: ArraySlice<UInt8>) {
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if skipped > 0 {
                let part = min(skipped, bytes.endIndex - index)
                skipped -= part
                index += part
                if skipped == 0 { endElement() }
                continue
            }
            let byte = bytes[index]
            index += 1
            switch byte {
            case _ where kind == nil: (kind, number, isNegative) = (byte, 0, false)
            case 10: endLine()
            case 13: break
            case UInt8(ascii: "-"): isNegative = true
            default: number = number &* 10 &+ Int(byte) &- 48
            }
        }
    }

    private mutating func endLine() {
        defer { kind = nil }
        precondition(kind != UInt8(ascii: "-"), "the server replied with an error")
        switch kind {
        case UInt8(ascii: "*") where !isNegative: missing += number + (missing == 0 ? 1 : 0)
        case UInt8(ascii: "$") where !isNegative:
            skipped = number + 2
            return
        default: break
        }
        endElement()
    }

    private mutating func endElement() {
        missing = max(0, missing - 1)
        if missing == 0 { count += 1 }
    }
}

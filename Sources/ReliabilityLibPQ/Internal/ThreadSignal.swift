#if LibPQ
internal import ReliabilityCore

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

// All code of this module that depends on the operating system.

/// A pipe that ends the wait of a thread for a socket.
final class ThreadSignal: Sendable {
    enum Wait { case ready, signalled, elapsed }
    enum Direction { case reading, writing, both }

    private let input: Int32
    private let output: Int32

    /// Creates a signal, or `nil` if the system has no file descriptors left.
    init?() {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { return nil }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        (output, input) = (ends[0], ends[1])
    }

    deinit {
        _ = close(input)
        _ = close(output)
    }

    func send() {
        var byte: UInt8 = 1
        _ = unsafe write(input, &byte, 1)
    }

    /// Waits until the socket is ready, the signal is sent or an instant is reached.
    func wait(socket: Int32, _ direction: Direction, until end: Int64) -> Wait {
        while true {
            let left = end.saturatingSubtract(continuousNanoseconds())
            if left <= 0 { return .elapsed }
            let events =
                switch direction {
                case .reading: POLLIN
                case .writing: POLLOUT
                case .both: POLLIN | POLLOUT
                }
            var polled = (
                pollfd(fd: socket, events: Int16(events), revents: 0),
                pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            )
            let milliseconds = Int32(clamping: min(left / 1_000_000 + 1, 60_000))
            let count = unsafe withUnsafeMutableBytes(of: &polled) {
                unsafe poll($0.baseAddress?.assumingMemoryBound(to: pollfd.self), 2, milliseconds)
            }
            if polled.1.revents != 0 {
                var bytes = [UInt8](repeating: 0, count: 64)
                while unsafe read(output, &bytes, 64) > 0 {}
                return .signalled
            }
            if count > 0, polled.0.revents != 0 { return .ready }
        }
    }

    /// Returns a Boolean value that indicates whether a socket has input or was closed.
    static func hasInput(_ socket: Int32) -> Bool {
        var polled = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&polled, 1, 0) > 0
    }
}
#endif

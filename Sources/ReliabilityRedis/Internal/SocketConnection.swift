internal import ReliabilityCore
internal import ReliabilityStore

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// The address of a server.
package enum SocketAddress: Hashable, Sendable {
    case unix(path: String)
    case tcp(host: String, port: UInt16)
}

/// A pipelining connection over a socket.
///
/// Commands are sent in the order of their calls, and a thread reads the replies. A call whose task is cancelled returns
/// immediately, and its reply is dropped later.
final class SocketConnection: RedisTransport, @unchecked Sendable {
    // @unchecked Sendable: `monitor` protects `state`. Only the reader thread uses `decoder`.

    private struct Call {
        let number: UInt64
        /// The position of the command's first byte among all bytes.
        let start: UInt64
        /// The caller, or `nil` if the caller does not wait.
        var continuation: CheckedContinuation<Result<RedisReply, ConnectionFailure>, Never>?
    }

    private struct State {
        /// The calls whose replies have not arrived, in the order of their commands.
        var calls: [Call] = []
        /// The number of calls at the start of `calls` whose replies have arrived.
        var answered = 0
        var nextNumber: UInt64 = 0
        /// The bytes that the system has not taken.
        var unsent: [UInt8] = []
        var sentCount: UInt64 = 0
        var totalCount: UInt64 = 0
        var failure: String?
        var isClosing = false
    }

    /// The largest number of commands in flight.
    static let maxCalls = 10_000

    private let descriptor: Int32
    /// The reading end wakes the reader thread, which writes the unsent bytes.
    private let wakeReader: Int32
    private let wakeWriter: Int32
    private let state = Lock(State())

    private init(_ descriptor: Int32, _ wake: (reader: Int32, writer: Int32)) {
        self.descriptor = descriptor
        wakeReader = wake.reader
        wakeWriter = wake.writer
    }

    /// Connects and starts the thread of the connection.
    ///
    /// The calling thread blocks.
    static func connect(to address: SocketAddress, timeout: Duration) throws(ConnectionFailure) -> SocketConnection {
        let descriptor = try openSocket(address, timeout)
        var ends: (Int32, Int32) = (-1, -1)
        let status = unsafe withUnsafeMutableBytes(of: &ends) { unsafe pipe($0.baseAddress?.assumingMemoryBound(to: Int32.self)) }
        guard status == 0 else {
            _ = close(descriptor)
            throw ConnectionFailure(isSent: false, "no descriptor is free")
        }
        for file in [descriptor, ends.0, ends.1] { setNonBlocking(file) }
        let connection = SocketConnection(descriptor, (ends.0, ends.1))
        guard tryToStartThread({ connection.run() }) else {
            for file in [descriptor, ends.0, ends.1] { _ = close(file) }
            throw ConnectionFailure(isSent: false, "the system rejects a thread")
        }
        return connection
    }

    // MARK: Calls

    func send(
        _ command: [[UInt8]],
        keys: Range<Int>,
        limit: Duration
    ) async throws(ConnectionFailure) -> RedisReply {
        var bytes: [UInt8] = []
        RESPEncoder.append(command, to: &bytes)
        let number = state.withLock { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if let failure = start(bytes, number, continuation) {
                    continuation.resume(returning: .failure(ConnectionFailure(isSent: false, failure)))
                }
            }
        } onCancel: {
            let continuation = state.withLock { state in
                guard let index = state.calls.firstIndex(where: { $0.number == number }) else {
                    return nil as CheckedContinuation<Result<RedisReply, ConnectionFailure>, Never>?
                }
                defer { state.calls[index].continuation = nil }
                return state.calls[index].continuation
            }
            continuation?.resume(
                returning: .failure(ConnectionFailure(isSent: true, "the task was cancelled during the command"))
            )
        }
        return try result.get()
    }

    /// Adds a call and sends its command as far as the system takes the bytes without a wait.
    ///
    /// - Returns: The reason why the command was not sent, or `nil`.
    private func start(
        _ bytes: [UInt8],
        _ number: UInt64,
        _ continuation: CheckedContinuation<Result<RedisReply, ConnectionFailure>, Never>
    ) -> String? {
        let (failure, mustWake) = state.withLock { state -> (String?, Bool) in
            if let failure = state.failure { return (failure, false) }
            if state.isClosing { return ("the connection was closed", false) }
            if Task.isCancelled { return ("the task was cancelled before the command", false) }
            if state.calls.count - state.answered >= Self.maxCalls { return ("too many commands are in flight", false) }
            state.calls.append(Call(number: number, start: state.totalCount, continuation: continuation))
            state.totalCount += UInt64(bytes.count)
            if !state.unsent.isEmpty {
                state.unsent += bytes
                return (nil, false)
            }
            let count = max(0, unsafe bytes.withUnsafeBytes { unsafe Self.write(descriptor, $0) })
            state.sentCount += UInt64(count)
            if count == bytes.count { return (nil, false) }
            state.unsent = Array(bytes[count...])
            return (nil, true)
        }
        if mustWake { wake() }
        return failure
    }

    func close() async {
        state.withLock { $0.isClosing = true }
        wake()
    }

    deinit {
        _ = Self.close(descriptor)
        _ = Self.close(wakeReader)
        _ = Self.close(wakeWriter)
    }

    private static func close(_ file: Int32) -> Int32 {
        #if canImport(Darwin)
        Darwin.close(file)
        #elseif canImport(Glibc)
        Glibc.close(file)
        #else
        Musl.close(file)
        #endif
    }

    private func wake() {
        var byte: UInt8 = 0
        _ = unsafe writeByte(wakeWriter, &byte)
    }

    // MARK: The thread

    private func run() {
        var decoder = RESPDecoder()
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let (wantsWrite, mustEnd) = state.withLock { (!$0.unsent.isEmpty, $0.isClosing) }
            if mustEnd { return end("the connection was closed") }
            var files = (
                pollfd(fd: descriptor, events: Int16(POLLIN) | (wantsWrite ? Int16(POLLOUT) : 0), revents: 0),
                pollfd(fd: wakeReader, events: Int16(POLLIN), revents: 0)
            )
            let count = unsafe withUnsafeMutableBytes(of: &files) { files in
                unsafe poll(files.baseAddress?.assumingMemoryBound(to: pollfd.self), 2, -1)
            }
            if count < 0 {
                if errno == EINTR { continue }
                return end("the socket failed with error \(errno)")
            }
            if files.1.revents != 0 { _ = unsafe buffer.withUnsafeMutableBytes { unsafe read(wakeReader, $0.baseAddress, $0.count) } }
            if files.0.revents & Int16(POLLOUT) != 0, !flush() { return end("the socket failed with error \(errno)") }
            if files.0.revents & ~Int16(POLLOUT) == 0 { continue }
            let received = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            if received == 0 { return end("the server closed the connection") }
            if received < 0 {
                if errno == EAGAIN || errno == EINTR { continue }
                return end("the socket failed with error \(errno)")
            }
            decoder.append(buffer[0..<received])
            do throws(RESPDecoder.Malformed) {
                while let reply = try decoder.next() { if !deliver(reply) { return end("an unexpected reply arrived") } }
            } catch {
                return end("the server sent malformed bytes")
            }
        }
    }

    /// Writes unsent bytes, and returns `false` if the socket failed.
    private func flush() -> Bool {
        state.withLock { state in
            let count = unsafe state.unsent.withUnsafeBytes { unsafe Self.write(descriptor, $0) }
            if count < 0 { return errno == EAGAIN || errno == EINTR }
            state.sentCount += UInt64(count)
            state.unsent.removeFirst(count)
            return true
        }
    }

    /// Gives a reply to its call, and returns `false` if no call waits.
    private func deliver(_ reply: RedisReply) -> Bool {
        let (isExpected, continuation) = state.withLock { state in
            guard state.answered < state.calls.count else {
                return (false, nil as CheckedContinuation<Result<RedisReply, ConnectionFailure>, Never>?)
            }
            let continuation = state.calls[state.answered].continuation
            state.calls[state.answered].continuation = nil
            state.answered += 1
            if state.answered == state.calls.count || state.answered > 256 {
                state.calls.removeFirst(state.answered)
                state.answered = 0
            }
            return (true, continuation)
        }
        continuation?.resume(returning: .success(reply))
        return isExpected
    }

    /// Fails all calls.
    private func end(_ explanation: String) {
        let (calls, sentCount) = state.withLock { state in
            state.failure = explanation
            defer { (state.calls, state.answered, state.unsent) = ([], 0, []) }
            return (state.calls, state.sentCount)
        }
        _ = shutdown(descriptor, Int32(SHUT_RDWR))
        for call in calls {
            call.continuation?.resume(
                returning: .failure(ConnectionFailure(isSent: call.start < sentCount, explanation))
            )
        }
    }

    // MARK: The system

    private static func write(_ file: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        #if canImport(Darwin)
        unsafe Darwin.send(file, bytes.baseAddress, bytes.count, 0)
        #elseif canImport(Glibc)
        unsafe Glibc.send(file, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        #else
        unsafe Musl.send(file, bytes.baseAddress, bytes.count, MSG_NOSIGNAL)
        #endif
    }

    private static func setNonBlocking(_ file: Int32) {
        _ = fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK)
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
    }

    private static func openSocket(_ address: SocketAddress, _ timeout: Duration) throws(ConnectionFailure) -> Int32 {
        switch address {
        case .unix(let path):
            var name = sockaddr_un()
            name.sun_family = sa_family_t(AF_UNIX)
            let bytes = Array(path.utf8)
            let capacity = MemoryLayout.size(ofValue: name.sun_path)
            guard bytes.count < capacity, !bytes.contains(0) else {
                throw ConnectionFailure(isSent: false, "the path of the socket must have less than \(capacity) bytes")
            }
            unsafe withUnsafeMutableBytes(of: &name.sun_path) { unsafe $0.copyBytes(from: bytes) }
            #if canImport(Glibc)
            let file = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            #else
            let file = socket(AF_UNIX, SOCK_STREAM, 0)
            #endif
            guard file >= 0 else { throw ConnectionFailure(isSent: false, "no descriptor is free") }
            let status = unsafe withUnsafeBytes(of: &name) { name in
                unsafe Self.connect(file, name.baseAddress, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
            if status == 0 { return file }
            let error = errno
            _ = close(file)
            throw ConnectionFailure(isSent: false, "the socket rejected the connection with error \(error)")
        case .tcp:
            throw ConnectionFailure(isSent: false, "not supported")
        }
    }

    private static func connect(_ file: Int32, _ name: UnsafeRawPointer?, _ length: socklen_t) -> Int32 {
        #if canImport(Darwin)
        unsafe Darwin.connect(file, name?.assumingMemoryBound(to: sockaddr.self), length)
        #elseif canImport(Glibc)
        unsafe Glibc.connect(file, name?.assumingMemoryBound(to: sockaddr.self), length)
        #else
        unsafe Musl.connect(file, name?.assumingMemoryBound(to: sockaddr.self), length)
        #endif
    }
}

private func writeByte(_ file: Int32, _ byte: UnsafeRawPointer) -> Int { unsafe write(file, byte, 1) }

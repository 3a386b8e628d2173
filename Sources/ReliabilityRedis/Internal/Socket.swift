internal import ReliabilityCore
internal import ReliabilityStore

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

// All code of this module that depends on the operating system.

/// A socket that is connected to a server, with a pipe that wakes its reader.
///
/// No method blocks but ``init(_:limit:)`` and ``wait(forWriting:nanoseconds:)``.
final class Socket: Sendable {
    /// The reason why a read or a write did not succeed.
    enum Failure: Error {
        /// The system has no bytes or no space at the moment.
        case wouldBlock
        case closed
        case error(Int32)
    }

    private let file: Int32
    private let wakeReader: Int32
    private let wakeWriter: Int32

    /// Connects to a server on the calling thread, which blocks.
    ///
    /// - Parameters:
    ///   - endpoint: The address.
    ///   - limit: The longest duration, without the time for the resolution of a name.
    /// - Throws: `ConnectionFailure`.
    init(_ endpoint: RedisAddress.Endpoint, limit: Duration) throws(ConnectionFailure) {
        let connected = try Self.connect(endpoint, continuousNanoseconds().saturatingAdd(limit.saturatingNanoseconds))
        var ends: (reader: Int32, writer: Int32) = (-1, -1)
        let status = unsafe withUnsafeMutableBytes(of: &ends) {
            unsafe pipe($0.baseAddress?.assumingMemoryBound(to: Int32.self))
        }
        guard status == 0 else {
            closeFile(connected)
            throw Self.noDescriptor
        }
        (file, wakeReader, wakeWriter) = (connected, ends.reader, ends.writer)
        makeNonBlocking(wakeReader)
        makeNonBlocking(wakeWriter)
    }

    deinit {
        closeFile(file)
        closeFile(wakeReader)
        closeFile(wakeWriter)
    }

    /// Wakes the thread that waits.
    func wake() {
        var byte: UInt8 = 0
        _ = unsafe write(wakeWriter, &byte, 1)
    }

    /// Ends both directions, so that the server sees the end of the connection.
    func shutDown() { _ = shutdown(file, Int32(SHUT_RDWR)) }

    /// Waits until bytes arrive, ``wake()`` is called or the time has passed.
    ///
    /// - Parameters:
    ///   - writes: `true` to wait for space to write as well.
    ///   - nanoseconds: The longest wait.
    /// - Returns: Whether the socket can be read and written.
    /// - Throws: ``Failure``.
    func wait(forWriting writes: Bool, nanoseconds: Int64) throws(Failure) -> (canRead: Bool, canWrite: Bool) {
        let milliseconds = Int32(clamping: max(0, nanoseconds) / 1_000_000 + 1)
        var files = (
            pollfd(fd: file, events: Int16(POLLIN) | (writes ? Int16(POLLOUT) : 0), revents: 0),
            pollfd(fd: wakeReader, events: Int16(POLLIN), revents: 0)
        )
        let count = unsafe withUnsafeMutableBytes(of: &files) { files in
            unsafe poll(files.baseAddress?.assumingMemoryBound(to: pollfd.self), 2, milliseconds)
        }
        if count < 0 {
            if errno == EINTR { return (false, false) }
            throw .error(errno)
        }
        if files.1.revents != 0 {
            var bytes: (UInt64, UInt64) = (0, 0)
            _ = unsafe withUnsafeMutableBytes(of: &bytes) { unsafe readFile(wakeReader, $0) }
        }
        // An error or the end of the connection is found by the read.
        return (files.0.revents & ~Int16(POLLOUT) != 0, files.0.revents & Int16(POLLOUT) != 0)
    }

    /// Reads bytes.
    ///
    /// - Returns: The number of bytes, at least 1.
    /// - Throws: ``Failure``.
    func read(into buffer: inout [UInt8]) throws(Failure) -> Int {
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe recv(file, $0.baseAddress, $0.count, 0) }
        if count > 0 { return count }
        if count == 0 { throw .closed }
        throw errno == EAGAIN || errno == EINTR ? .wouldBlock : .error(errno)
    }

    /// Writes bytes as far as the system takes bytes.
    ///
    /// - Returns: The number of bytes, at least 1.
    /// - Throws: ``Failure``.
    func send(_ bytes: ArraySlice<UInt8>) throws(Failure) -> Int {
        let count = unsafe bytes.withUnsafeBytes { bytes in
            #if canImport(Darwin)
            unsafe Darwin.send(file, bytes.baseAddress, bytes.count, 0)
            #elseif canImport(Glibc)
            unsafe Glibc.send(file, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            #else
            unsafe Musl.send(file, bytes.baseAddress, bytes.count, MSG_NOSIGNAL)
            #endif
        }
        if count > 0 { return count }
        throw errno == EAGAIN || errno == EINTR ? .wouldBlock : .error(errno)
    }

    // MARK: Connecting

    private static let noDescriptor = ConnectionFailure(isSent: false, "the system has no free file descriptor")

    private static func connect(_ endpoint: RedisAddress.Endpoint, _ end: Int64) throws(ConnectionFailure) -> Int32 {
        switch endpoint {
        case .unix(let path): try connect(path, end)
        case .tcp(let host, let port): try connect(host, port, end)
        }
    }

    private static func connect(_ path: String, _ end: Int64) throws(ConnectionFailure) -> Int32 {
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let capacity = MemoryLayout.size(ofValue: name.sun_path)
        guard bytes.count < capacity else {
            throw ConnectionFailure(isSent: false, "the path of a socket must have less than \(capacity) bytes")
        }
        unsafe withUnsafeMutableBytes(of: &name.sun_path) { unsafe $0.copyBytes(from: bytes) }
        return try unsafe withUnsafeBytes(of: &name) { name throws(ConnectionFailure) in
            try unsafe connect(AF_UNIX, name, end)
        }
    }

    private static func connect(_ host: String, _ port: UInt16, _ end: Int64) throws(ConnectionFailure) -> Int32 {
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = AF_UNSPEC
        unsafe hints.ai_socktype = streamType
        var list: UnsafeMutablePointer<addrinfo>?
        let status = unsafe getaddrinfo(host, String(port), &hints, &list)
        guard status == 0, let first = unsafe list else {
            let text = unsafe String(cString: gai_strerror(status))
            throw ConnectionFailure(isSent: false, "the name of the server cannot be resolved: \(text)")
        }
        defer { unsafe freeaddrinfo(first) }
        var failure = noDescriptor
        var next: UnsafeMutablePointer<addrinfo>? = unsafe first
        while let address = unsafe next {
            do throws(ConnectionFailure) {
                let name = unsafe UnsafeRawBufferPointer(
                    start: address.pointee.ai_addr,
                    count: Int(address.pointee.ai_addrlen)
                )
                return try unsafe connect(address.pointee.ai_family, name, end)
            } catch { failure = error }
            unsafe next = address.pointee.ai_next
        }
        throw failure
    }

    private static func connect(_ family: Int32, _ name: UnsafeRawBufferPointer, _ end: Int64) throws(ConnectionFailure)
        -> Int32
    {
        let file = socket(family, streamType, 0)
        guard file >= 0 else { throw noDescriptor }
        makeNonBlocking(file)
        var error: Int32 = 0
        if unsafe connectFile(file, name) != 0 {
            error = errno
            if error == EINPROGRESS || error == EINTR { error = waitForConnection(file, end) }
        }
        if error == 0 {
            if family != AF_UNIX { prepare(file) }
            return file
        }
        closeFile(file)
        let text = error == ETIMEDOUT ? "the server did not accept the connection in time" : describe(error)
        throw ConnectionFailure(isSent: false, text)
    }

    /// Waits for the end of an attempt, and returns its error or 0.
    private static func waitForConnection(_ file: Int32, _ end: Int64) -> Int32 {
        while true {
            let left = end.saturatingSubtract(continuousNanoseconds())
            if left <= 0 { return ETIMEDOUT }
            var entry = pollfd(fd: file, events: Int16(POLLOUT), revents: 0)
            let count = unsafe poll(&entry, 1, Int32(clamping: left / 1_000_000 + 1))
            if count < 0, errno != EINTR { return errno }
            if count <= 0 { continue }
            var error: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            _ = unsafe getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &length)
            return error
        }
    }

    /// Sends small commands immediately, and finds a peer that has vanished.
    private static func prepare(_ file: Int32) {
        var yes: Int32 = 1
        let length = socklen_t(MemoryLayout<Int32>.size)
        _ = unsafe setsockopt(file, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, length)
        _ = unsafe setsockopt(file, SOL_SOCKET, SO_KEEPALIVE, &yes, length)
    }

    static func describe(_ error: Int32) -> String {
        switch error {
        case ECONNREFUSED: "the server refused the connection; start the server or correct the address"
        case ENOENT: "the socket of the server does not exist; start the server or correct the address"
        case EACCES, EPERM: "the system denies access to the socket of the server"
        case ECONNRESET, EPIPE: "the server closed the connection"
        case EHOSTUNREACH, ENETUNREACH: "the server cannot be reached"
        default: "the socket failed with error \(error)"
        }
    }

    private static var streamType: Int32 {
        #if canImport(Glibc)
        Int32(SOCK_STREAM.rawValue)
        #else
        SOCK_STREAM
        #endif
    }
}

private func closeFile(_ file: Int32) { _ = close(file) }

private func readFile(_ file: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
    unsafe read(file, buffer.baseAddress, buffer.count)
}

private func makeNonBlocking(_ file: Int32) {
    _ = fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK)
    _ = fcntl(file, F_SETFD, FD_CLOEXEC)
    #if canImport(Darwin)
    var yes: Int32 = 1
    _ = unsafe setsockopt(file, SOL_SOCKET, SO_NOSIGPIPE, &yes, socklen_t(MemoryLayout<Int32>.size))
    #endif
}

private func connectFile(_ file: Int32, _ name: UnsafeRawBufferPointer) -> Int32 {
    unsafe connect(file, name.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(name.count))
}

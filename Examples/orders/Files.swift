import Dispatch
import Synchronization

#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What the operating system said about a file.
struct FileError: Error, CustomStringConvertible {
    let description: String

    init(description: String) { self.description = description }

    init(_ what: String, _ path: String) {
        description = "cannot \(what) \(path): \(unsafe String(cString: strerror(errno)))"
    }
}

/// Writes whole lines to a descriptor, one after the other, on a queue of its own.
final class LineWriter: Sendable {
    private let descriptor: Int32
    private let name: String
    private let queue = DispatchQueue(label: "line writer")
    private let failed = Mutex<FileError?>(nil)

    init(descriptor: Int32, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    /// Opens a file to append to.
    convenience init(appendingTo path: String) throws {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileError("open", path) }
        self.init(descriptor: descriptor, name: path)
    }

    /// Writes a line and returns when the operating system has it.
    func write(_ line: String, terminator: String = "\n") async throws {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try self.put(line + terminator) }) }
        }
    }

    /// Writes on the queue; after a failure nothing more, since part of a line may have been.
    private func put(_ text: String) throws {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            if let failure = failed.withLock({ $0 }) { throw failure }
            let count = unsafe rest.withUnsafeBytes { buffer in
                #if canImport(Darwin)
                unsafe Darwin.write(descriptor, buffer.baseAddress, buffer.count)
                #elseif canImport(Glibc)
                unsafe Glibc.write(descriptor, buffer.baseAddress, buffer.count)
                #else
                unsafe Musl.write(descriptor, buffer.baseAddress, buffer.count)
                #endif
            }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if !mayContinue(descriptor, POLLOUT) {
                failed.withLock { $0 = FileError("write", name) }
            }
        }
    }
}

/// After a failed call: whether to make it again, at once or when a descriptor that does not wait is ready.
private func mayContinue(_ descriptor: Int32, _ events: Int32) -> Bool {
    if errno == EINTR { return true }
    guard errno == EAGAIN else { return false }
    var waiting = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    return unsafe poll(&waiting, 1, -1) >= 0 || errno == EINTR
}

/// Reads lines from a file or standard input on a thread of its own, few at a time, and never keeps more of a line
/// than `limit` + 1 bytes.
final class LineReader: Sendable {
    let lines: AsyncStream<[UInt8]>
    private let continuation: AsyncStream<[UInt8]>.Continuation
    private let room = DispatchSemaphore(value: 0)
    private let failed = Mutex<FileError?>(nil)

    /// Why the lines ended before the input did.
    var failure: FileError? { failed.withLock { $0 } }

    init(path: String, limit: Int) throws {
        let descriptor = path == "-" ? dup(STDIN_FILENO) : unsafe open(path, O_RDONLY | O_CLOEXEC)
        // A directory can be opened, but not read.
        guard descriptor >= 0, read(descriptor, nil, 0) == 0 else { throw FileError("read", path) }
        (lines, continuation) = AsyncStream.makeStream()
        // Not as the first value: a semaphore must not end with less than that, and lines may be left untaken.
        for _ in 0..<64 { room.signal() }
        DispatchQueue(label: "line reader").async { [self] in
            var line: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 64 << 10)
            var isInLine = false
            reading: while true {
                let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
                if count < 0, mayContinue(descriptor, POLLIN) { continue }
                if count < 0 { failed.withLock { $0 = FileError("read", path) } }
                guard count > 0 else { break }
                for part in chunk[..<count].split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
                    .enumerated()
                {
                    // Every part but the first begins after a line's end.
                    if part.offset > 0 {
                        guard deliver(&line) else { break reading }
                        isInLine = false
                    }
                    if !part.element.isEmpty { isInLine = true }
                    line += part.element.prefix(limit + 1 - line.count)
                }
            }
            if isInLine { _ = deliver(&line) }
            close(descriptor)
            continuation.finish()
        }
    }

    private func deliver(_ line: inout [UInt8]) -> Bool {
        room.wait()
        let result = continuation.yield(line)
        line.removeAll(keepingCapacity: true)
        if case .terminated = result { return false }
        return true
    }

    /// Makes room for another line, in place of one that was taken from `lines`.
    func taken() { room.signal() }

    /// Ends the lines, although there may be more.
    func stop() { continuation.finish() }
}

/// Makes a directory, or a fresh one with a name of its own.
func makeDirectory(_ path: String?) throws -> String {
    if let path {
        guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else { throw FileError("make", path) }
        return path
    }
    var template = Array("/tmp/orders.XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { throw FileError("make", "a temporary directory") }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Text as a JSON string.
func json(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case ..<" ": result += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}

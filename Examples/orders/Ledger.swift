#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A file of lines that several processes append to.
///
/// Whoever appends has read all lines before.
final class Ledger {
    private let path: String
    private let descriptor: Int32
    /// Everything before it was read, and consists of whole lines.
    private var end: off_t = 0

    init(path: String) throws {
        self.path = path
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileError("open", path) }
    }

    deinit { close(descriptor) }

    /// Hands over the lines that were appended since the last time, and appends a line, with nothing in between.
    ///
    /// - Parameter decide: Receives the lines and returns the line to append, if any. After an error it receives the
    ///   same lines again. A line that was appended comes back with the next ones.
    /// - Throws: ``FileError``, or the error of `decide`.
    func exchange(_ decide: (_ lines: [[UInt8]]) throws -> String?) throws {
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else { throw FileError("lock", path) }
        }
        defer { flock(descriptor, LOCK_UN) }
        let bytes = try read()
        let line = try decide(bytes.split(separator: UInt8(ascii: "\n")).map(Array.init))
        end += off_t(bytes.count)
        if let line { try append(line) }
    }

    /// Reads all whole lines that follow.
    private func read() throws -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let position = end + off_t(bytes.count)
            let count = unsafe chunk.withUnsafeMutableBytes {
                unsafe pread(descriptor, $0.baseAddress, $0.count, position)
            }
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw FileError("read", path) }
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        // Whoever began the last line held the lock, and has ended in the middle of it.
        let whole = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        if whole < bytes.count {
            guard ftruncate(descriptor, end + off_t(whole)) == 0 else { throw FileError("mend", path) }
        }
        return Array(bytes[..<whole])
    }

    private func append(_ line: String) throws {
        var rest = Array((line + "\n").utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                let error = FileError("write", path)
                // A part of the line did not happen, and the next one must not continue it.
                _ = ftruncate(descriptor, end)
                throw error
            }
            rest = rest.dropFirst(count)
        }
    }
}

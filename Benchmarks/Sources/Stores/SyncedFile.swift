import Foundation

/// A file of zeros on the disk, which a baseline overwrites and syncs.
///
/// A sync of a file of zeros writes no metadata. A file that grows would need a second write for each sync.
final class SyncedFile: Sendable {
    struct Failure: Error {
        let call: String
        let code: Int32
    }

    private let descriptor: Int32
    private let length: Int

    init(at path: String, length: Int = 64 << 20) throws {
        descriptor = open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
        self.length = length
        guard descriptor >= 0 else { throw Failure(call: "open", code: errno) }
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        for offset in stride(from: 0, to: length, by: zeros.count) { try write(zeros, at: offset) }
        try sync()
    }

    deinit { close(descriptor) }

    /// Writes bytes at an offset.
    ///
    /// An offset behind the end of the file begins again at the start.
    func write(_ bytes: [UInt8], at offset: Int) throws {
        let offset = offset % (length - bytes.count + 1)
        guard pwrite(descriptor, bytes, bytes.count, off_t(offset)) == bytes.count else {
            throw Failure(call: "pwrite", code: errno)
        }
    }

    /// Waits until the written bytes are on the disk.
    func sync() throws {
        #if canImport(Darwin)
        let result = fcntl(descriptor, F_FULLFSYNC)
        #else
        let result = fdatasync(descriptor)
        #endif
        guard result == 0 else { throw Failure(call: "sync", code: errno) }
    }
}

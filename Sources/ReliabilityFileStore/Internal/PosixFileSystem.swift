#if canImport(Darwin)
internal import Darwin
#elseif canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

// Everything of this module that differs between operating systems.

/// Makes a write beyond the process's limit on the size of files an error for this thread, as a full disk is.
///
/// Otherwise it is a signal that ends the process. Linux sends it to the thread that writes.
func refuseFileSizeSignal() {
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGXFSZ)
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
}

/// The operating system's files.
package struct PosixFileSystem: FileSystem {
    package init() {}

    package var processIdentifier: Int32 { getpid() }

    package func randomNumber() -> UInt64 { .random(in: .min ... .max) }

    package func openDirectory(_ path: String) throws(FileSystemError) -> OpenFile {
        // The system's calls would end the path there, and open another directory.
        if path.utf8.contains(0) { throw FileSystemError(.refused, "the path has a NUL") }
        let isNew = unsafe mkdir(path, 0o700) == 0
        if !isNew, errno != EEXIST { throw failure("mkdir") }
        let descriptor = try retrying("open") { unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        let directory = OpenFile(rawValue: descriptor)
        do throws(FileSystemError) {
            // The umask takes bits away at creation.
            if isNew, fchmod(descriptor, 0o700) != 0 { throw failure("fchmod") }
            let status = try status(of: descriptor)
            if status.st_uid != geteuid() {
                throw FileSystemError(.refused, "the store's directory belongs to another user")
            }
            if status.st_mode & 0o022 != 0 {
                throw FileSystemError(.refused, "the store's directory can be written to by others")
            }
            try syncParent(of: path, isNew: isNew)
            return directory
        } catch {
            close(directory)
            // The next attempt has to make the name anew: it could not know that this one was never made durable.
            if isNew { unsafe rmdir(path) }
            throw error
        }
    }

    /// Makes the directory's own name durable.
    ///
    /// Also when it is there already: whoever created it may have ended before this.
    private func syncParent(of path: String, isNew: Bool) throws(FileSystemError) {
        var bytes = Array(path.utf8)
        while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        let slash = bytes.lastIndex(of: UInt8(ascii: "/"))
        let parent = slash.map { $0 == 0 ? "/" : String(decoding: bytes[..<$0], as: UTF8.self) } ?? "."
        let descriptor = unsafe open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor < 0 {
            if isNew { throw failure("open") }
            return
        }
        defer { close(OpenFile(rawValue: descriptor)) }
        do throws(FileSystemError) {
            try syncDirectory(OpenFile(rawValue: descriptor))
        } catch  where !isNew && error.kind == .unsupported {
            // The parent of a mount point, for one: the name was not made durable there, and need not be.
        }
    }

    package func lock(_ directory: OpenFile) throws(FileSystemError) {
        // The directory itself: there is no file for anybody to remove. Not `fcntl`: its locks say nothing within one
        // process, and end when any descriptor is closed.
        if flock(directory.rawValue, LOCK_EX | LOCK_NB) != 0 {
            throw errno == EWOULDBLOCK ? FileSystemError(.locked, "another owner has it open") : failure("flock")
        }
    }

    package func openOrCreateFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        let file = try regularFile(
            name,
            try retrying("openat of \(name)") { unsafe openat(directory.rawValue, name, flags, 0o600) }
        )
        if fchmod(file.rawValue, 0o600) != 0 {
            let error = failure("fchmod")
            close(file)
            throw error
        }
        return file
    }

    package func createFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        let descriptor = try retrying("openat of \(name)") { unsafe openat(directory.rawValue, name, flags, 0o600) }
        if fchmod(descriptor, 0o600) != 0 {
            let error = failure("fchmod")
            close(OpenFile(rawValue: descriptor))
            throw error
        }
        return OpenFile(rawValue: descriptor)
    }

    package func openFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        let flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        return try regularFile(
            name,
            try retrying("openat of \(name)") { unsafe openat(directory.rawValue, name, flags) }
        )
    }

    private func regularFile(_ name: String, _ descriptor: Int32) throws(FileSystemError) -> OpenFile {
        let file = OpenFile(rawValue: descriptor)
        do throws(FileSystemError) {
            if try status(of: descriptor).st_mode & S_IFMT != S_IFREG {
                throw FileSystemError(.refused, "\(name) is not a regular file")
            }
        } catch {
            close(file)
            throw error
        }
        return file
    }

    package func close(_ file: OpenFile) {
        // A child process that was forked has the lock too until it runs another program; this ends it for both.
        _ = flock(file.rawValue, LOCK_UN)
        // Never again after an interruption: the descriptor may be somebody else's by then.
        #if canImport(Darwin)
        _ = Darwin.close(file.rawValue)
        #elseif canImport(Glibc)
        _ = Glibc.close(file.rawValue)
        #elseif canImport(Musl)
        _ = Musl.close(file.rawValue)
        #endif
    }

    package func size(of file: OpenFile) throws(FileSystemError) -> Int64 {
        Int64(try status(of: file.rawValue).st_size)
    }

    package func read(_ file: OpenFile, at offset: Int64, count: Int) throws(FileSystemError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let used = try retrying("pread") {
            unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe pread(file.rawValue, buffer.baseAddress, buffer.count, off_t(offset))
            }
        }
        bytes.removeLast(count - used)
        return bytes
    }

    package func write(
        _ bytes: ArraySlice<UInt8>,
        to file: OpenFile,
        at offset: Int64
    ) throws(FileSystemError) -> Int {
        try retrying("pwrite") {
            unsafe bytes.withUnsafeBytes { buffer in
                unsafe pwrite(file.rawValue, buffer.baseAddress, buffer.count, off_t(offset))
            }
        }
    }

    package func sync(_ file: OpenFile) throws(FileSystemError) {
        // Not again, whatever it says: after a failure the second call succeeds and means nothing.
        #if canImport(Darwin)
        // `fsync` leaves the data in the drive's cache.
        if fcntl(file.rawValue, F_FULLFSYNC) == -1 { throw failure("fcntl(F_FULLFSYNC)") }
        #else
        if fdatasync(file.rawValue) != 0 { throw failure("fdatasync") }
        #endif
        // Removed or replaced by somebody: what was written would be gone when the file is closed.
        if try status(of: file.rawValue).st_nlink == 0 {
            throw FileSystemError(.other, "the file was removed or replaced while it was open")
        }
    }

    package func rename(
        _ name: String,
        to newName: String,
        in directory: OpenFile
    ) throws(FileSystemError) {
        if unsafe renameat(directory.rawValue, name, directory.rawValue, newName) != 0 { throw failure("renameat") }
    }

    package func unlink(_ name: String, in directory: OpenFile) throws(FileSystemError) {
        if unsafe unlinkat(directory.rawValue, name, 0) != 0 { throw failure("unlinkat of \(name)") }
    }

    package func syncDirectory(_ directory: OpenFile) throws(FileSystemError) {
        if fsync(directory.rawValue) != 0 { throw failure("fsync") }
        #if canImport(Darwin)
        // Not every file system knows it for directories; the next file that is synced flushes the drive for both.
        if fcntl(directory.rawValue, F_FULLFSYNC) == -1, errno != ENOTSUP, errno != EINVAL {
            throw failure("fcntl(F_FULLFSYNC)")
        }
        #endif
    }

    private func status(of descriptor: Int32) throws(FileSystemError) -> stat {
        var status = stat()
        if unsafe fstat(descriptor, &status) != 0 { throw failure("fstat") }
        return status
    }

    private func retrying<Number: FixedWidthInteger>(
        _ call: String,
        _ body: () -> Number
    ) throws(FileSystemError) -> Number {
        while true {
            let result = body()
            if result >= 0 { return result }
            if errno != EINTR { throw failure(call) }
        }
    }

    private func failure(_ call: String) -> FileSystemError {
        let code = errno
        let kind: FileSystemError.Kind =
            switch code {
            case ENOSPC, EDQUOT, EFBIG: .noSpace
            case ENOENT: .notFound
            case EINVAL, ENOTSUP: .unsupported
            default: .other
            }
        return FileSystemError(kind, "\(call) failed (error \(code))")
    }
}

internal import ReliabilityCore

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

// All code of this module that differs between operating systems.

/// Blocks SIGXFSZ for the current thread.
///
/// A write past the file size limit of the process then fails like a full disk.
///
/// Linux sends the signal to the thread that writes. The default action of the signal ends the process.
func blockFileSizeSignal() {
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGXFSZ)
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
}

/// Returns the path of the directory that contains a file or a directory.
func parentDirectory(of path: String) -> String {
    var bytes = Array(path.utf8)
    while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
    let slash = bytes.lastIndex(of: UInt8(ascii: "/"))
    return slash.map { $0 == 0 ? "/" : String(decoding: bytes[..<$0], as: UTF8.self) } ?? "."
}

/// The operating system's files.
package struct PosixFileSystem: FileSystem {
    package init() {}

    package var processIdentifier: Int32 { ReliabilityCore.processIdentifier() }

    package func randomNumber() -> UInt64 { .random(in: .min ... .max) }

    package func openDirectory(_ path: String) throws(FileSystemError) -> OpenFile {
        // A system call would end the path at the NUL byte, and open another directory.
        if path.utf8.contains(0) { throw FileSystemError(.rejected, "the path contains a NUL byte") }
        let isNew = unsafe mkdir(path, 0o700) == 0
        if !isNew, errno != EEXIST {
            throw failure("mkdir", errno == ENOENT ? "its parent directory must exist" : nil)
        }
        let descriptor = try retrying("open") { unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        let directory = OpenFile(rawValue: descriptor)
        do throws(FileSystemError) {
            // The umask can remove permission bits at creation.
            if isNew, fchmod(descriptor, 0o700) != 0 { throw failure("fchmod") }
            let status = try status(of: descriptor)
            let problem = Self.problem(
                owner: UInt32(status.st_uid),
                group: UInt32(status.st_gid),
                mode: UInt32(status.st_mode),
                user: UInt32(geteuid()),
                groups: processGroups()
            )
            if let problem { throw FileSystemError(.rejected, problem) }
            try syncParent(of: path, isNew: isNew)
            return directory
        } catch {
            close(directory)
            // The next attempt must create the directory again, because the name may not be durable.
            if isNew { unsafe rmdir(path) }
            throw error
        }
    }

    /// Returns a description of unsafe permissions on a store's directory, or `nil` if the permissions are safe.
    ///
    /// The superuser and the groups of the process are trusted. A volume of a container platform often belongs to the
    /// superuser and gives write permission to a group of the process.
    package static func problem(
        owner: UInt32,
        group: UInt32,
        mode: UInt32,
        user: UInt32,
        groups: Set<UInt32>
    ) -> String? {
        let bits = "0" + String(mode & 0o7777, radix: 8)
        let subdirectory = "or give the store a directory of its own inside"
        if owner != user, owner != 0 {
            return "the directory belongs to user \(owner), and the process runs as user \(user) (mode \(bits)): "
                + "chown it to \(user), \(subdirectory)"
        }
        if mode & 0o002 != 0 {
            return "every user may write to the directory (mode \(bits), owner \(owner)): chmod o-w, \(subdirectory)"
        }
        if mode & 0o020 != 0, !groups.contains(group) {
            return "group \(group) may write to the directory (mode \(bits), owner \(owner)), and the process "
                + "(user \(user)) is not in it: chmod g-w, add the process to the group, \(subdirectory)"
        }
        return nil
    }

    private func processGroups() -> Set<UInt32> {
        var groups: Set<UInt32> = [UInt32(getegid())]
        let count = getgroups(0, nil)
        guard count > 0 else { return groups }
        var others = [gid_t](repeating: 0, count: Int(count))
        let found = unsafe getgroups(count, &others)
        for group in others.prefix(Int(max(0, found))) { groups.insert(UInt32(group)) }
        return groups
    }

    package func openDirectoryToRead(_ path: String) throws(FileSystemError) -> OpenFile {
        if path.utf8.contains(0) { throw FileSystemError(.rejected, "the path contains a NUL byte") }
        let descriptor = try retrying("open") { unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        return OpenFile(rawValue: descriptor)
    }

    /// Makes the directory's own name durable.
    ///
    /// An existing name is synced too because the process that created the directory may have crashed before its sync.
    private func syncParent(of path: String, isNew: Bool) throws(FileSystemError) {
        let parent = parentDirectory(of: path)
        let descriptor = unsafe open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor < 0 {
            if isNew { throw failure("open of the parent directory \(parent)") }
            return
        }
        defer { close(OpenFile(rawValue: descriptor)) }
        do throws(FileSystemError) {
            try syncDirectory(OpenFile(rawValue: descriptor))
        } catch  where !isNew && error.kind == .unsupported {
            // The parent of a mount point is an example. Its name for the mount point need not be durable.
        }
    }

    package func lock(_ directory: OpenFile) throws(FileSystemError) {
        // The lock is on the directory itself, because a lock file could be removed. The locks of `fcntl` do not
        // exclude a second owner in the same process, and end when any descriptor of the file is closed.
        if flock(directory.rawValue, LOCK_EX | LOCK_NB) != 0 {
            throw lockFailure()
        }
    }

    package func lockShared(_ directory: OpenFile) throws(FileSystemError) {
        if flock(directory.rawValue, LOCK_SH | LOCK_NB) != 0 {
            throw lockFailure()
        }
    }

    private func lockFailure() -> FileSystemError {
        errno == EWOULDBLOCK ? FileSystemError(.locked, "another owner has the directory locked") : failure("flock")
    }

    package func openOrCreateFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        let (file, owner) = try regularFile(
            name,
            try retrying("openat of \(name)") { unsafe openat(directory.rawValue, name, flags, 0o600) }
        )
        // In a directory that users of a group share, the file can belong to another user. Its mode then stays
        // unchanged.
        if owner == geteuid(), fchmod(file.rawValue, 0o600) != 0 {
            let error = failure("fchmod of \(name)")
            close(file)
            throw error
        }
        return file
    }

    package func createFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        let descriptor = try retrying("openat of \(name)") { unsafe openat(directory.rawValue, name, flags, 0o600) }
        if fchmod(descriptor, 0o600) != 0 {
            let error = failure("fchmod of \(name)")
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
        ).file
    }

    private func regularFile(
        _ name: String,
        _ descriptor: Int32
    ) throws(FileSystemError) -> (file: OpenFile, owner: uid_t) {
        let file = OpenFile(rawValue: descriptor)
        do throws(FileSystemError) {
            let status = try status(of: descriptor)
            if status.st_mode & S_IFMT != S_IFREG {
                throw FileSystemError(.rejected, "\(name) is not a regular file")
            }
            return (file, status.st_uid)
        } catch {
            close(file)
            throw error
        }
    }

    package func close(_ file: OpenFile) {
        // A forked child shares the lock until it runs another program. The unlock applies to both processes.
        _ = flock(file.rawValue, LOCK_UN)
        // `close` is never retried after an interruption, because another thread may have reused the descriptor.
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
        // A sync is never retried. After a failed sync, a second sync can succeed without writing the lost data.
        #if canImport(Darwin)
        // `fsync` leaves the data in the drive's cache.
        if fcntl(file.rawValue, F_FULLFSYNC) == -1 { throw failure("fcntl(F_FULLFSYNC)") }
        #else
        if fdatasync(file.rawValue) != 0 { throw failure("fdatasync") }
        #endif
        // The file was removed or replaced. Its content vanishes when the file is closed.
        if try status(of: file.rawValue).st_nlink == 0 {
            throw FileSystemError(.other, "the file was removed or replaced while it was open")
        }
    }

    package func names(in directory: OpenFile) throws(FileSystemError) -> [String] {
        // A second descriptor, because a stream owns its descriptor and its position.
        let descriptor = try retrying("openat of the directory") {
            unsafe openat(directory.rawValue, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        guard let stream = unsafe fdopendir(descriptor) else {
            let error = failure("fdopendir")
            close(OpenFile(rawValue: descriptor))
            throw error
        }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                if errno != 0 { throw failure("readdir") }
                return names
            }
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                unsafe name.withMemoryRebound(
                    to: CChar.self,
                    capacity: MemoryLayout.size(ofValue: entry.pointee.d_name)
                ) {
                    unsafe String(cString: $0)
                }
            }
            if name != ".", name != ".." { names.append(name) }
        }
    }

    package func unlink(_ name: String, in directory: OpenFile) throws(FileSystemError) {
        if unsafe unlinkat(directory.rawValue, name, 0) != 0 { throw failure("unlinkat of \(name)") }
    }

    package func syncDirectory(_ directory: OpenFile) throws(FileSystemError) {
        if fsync(directory.rawValue) != 0 {
            let isUnknown = errno == EINVAL || errno == ENOTSUP
            let advice = "this file system cannot sync directories; move the store to another file system"
            throw failure("fsync of the directory", isUnknown ? advice : nil)
        }
        #if canImport(Darwin)
        // Some file systems do not support F_FULLFSYNC for directories. The next sync of a file then flushes the drive.
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

    private func failure(_ call: String, _ advice: String? = nil) -> FileSystemError {
        let code = errno
        let kind: FileSystemError.Kind =
            switch code {
            case ENOSPC, EDQUOT, EFBIG: .noSpace
            case ENOENT: .notFound
            case EINVAL, ENOTSUP: .unsupported
            case EROFS: .readOnly
            default: .other
            }
        // `strerror` is thread-safe here: it writes only the text of an unknown error, in thread-local memory.
        let text = unsafe strerror(code).map { unsafe String(cString: $0) } ?? "unknown"
        let isDenied = code == EACCES || code == EPERM
        let user = isDenied ? ", as user \(geteuid())" : ""
        return FileSystemError(
            kind,
            "\(call) failed: \(text) (error \(code)\(user))" + (advice.map { "; \($0)" } ?? "")
        )
    }
}

/// The interface between the log and the file system.
///
/// Tests provide other implementations.
///
/// Every call blocks. An implementation retries an interrupted call. A read or write can process fewer bytes than
/// requested.
package protocol FileSystem: Sendable {
    /// The id of the current process.
    var processIdentifier: Int32 { get }

    /// Returns an unpredictable number.
    func randomNumber() -> UInt64

    /// Opens a directory and creates a missing directory with access for its owner only.
    ///
    /// The call rejects a directory that belongs to another user or that other users may write to. The superuser and
    /// the groups of the process are exceptions.
    func openDirectory(_ path: String) throws(FileSystemError) -> OpenFile

    /// Opens an existing directory for reading.
    ///
    /// The call creates no directory and checks no permissions.
    func openDirectoryToRead(_ path: String) throws(FileSystemError) -> OpenFile

    /// Locks a directory exclusively until the directory is closed.
    ///
    /// Throws `locked` if the directory is already locked.
    func lock(_ directory: OpenFile) throws(FileSystemError)

    /// Locks a directory for reading until the directory is closed.
    ///
    /// Throws `locked` if the directory has an owner.
    func lockShared(_ directory: OpenFile) throws(FileSystemError)

    /// Opens a file for reading and writing and creates a missing file with access for its owner only.
    func openOrCreateFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile

    /// Creates a file for reading and writing with access for its owner only.
    ///
    /// The file must not exist yet.
    func createFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile

    /// Opens a file for reading.
    func openFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile

    /// Closes a file or a directory and releases its lock.
    func close(_ file: OpenFile)

    /// Returns the size of a file in bytes.
    func size(of file: OpenFile) throws(FileSystemError) -> Int64

    /// Reads up to `count` bytes.
    ///
    /// Returns no bytes only at the end of the file.
    func read(_ file: OpenFile, at offset: Int64, count: Int) throws(FileSystemError) -> [UInt8]

    /// Writes some or all of the bytes and returns the number of written bytes.
    func write(_ bytes: ArraySlice<UInt8>, to file: OpenFile, at offset: Int64) throws(FileSystemError) -> Int

    /// Makes all written bytes of a file survive power loss.
    ///
    /// The call fails if the file no longer has a name. Such a file would vanish when it is closed.
    func sync(_ file: OpenFile) throws(FileSystemError)

    /// Returns the names of all files in a directory in any order.
    func names(in directory: OpenFile) throws(FileSystemError) -> [String]

    /// Removes a file.
    func unlink(_ name: String, in directory: OpenFile) throws(FileSystemError)

    /// Makes the file names in a directory survive power loss.
    func syncDirectory(_ directory: OpenFile) throws(FileSystemError)
}

/// An open file or directory.
package struct OpenFile: Hashable, Sendable {
    package let rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }
}

/// The error of a failed call to the file system.
package struct FileSystemError: Error, Hashable {
    package enum Kind: Hashable, Sendable {
        case noSpace
        case notFound
        case locked
        /// The path, the directory or the file is not safe to use.
        case rejected
        /// The file system is mounted read-only.
        case readOnly
        /// The file system does not support the call.
        case unsupported
        case other
    }
    package let kind: Kind
    package let explanation: String

    package init(_ kind: Kind, _ explanation: String) {
        self.kind = kind
        self.explanation = explanation
    }

    /// Returns the error with the store's directory in its explanation.
    func at(_ path: String) -> FileSystemError { FileSystemError(kind, "\(path): \(explanation)") }
}

extension FileSystem {
    /// Writes all of `bytes`.
    func writeAll(_ bytes: [UInt8], to file: OpenFile, at offset: Int64) throws(FileSystemError) {
        var written = 0
        while written < bytes.count {
            let count = try write(bytes[written...], to: file, at: offset + Int64(written))
            if count == 0 { throw FileSystemError(.other, "a write of \(bytes.count - written) bytes wrote 0 bytes") }
            written += count
        }
    }

    /// Reads `count` bytes, or fewer at the end of the file.
    func readAll(_ file: OpenFile, at offset: Int64, count: Int) throws(FileSystemError) -> [UInt8] {
        var bytes = try read(file, at: offset, count: count)
        while !bytes.isEmpty, bytes.count < count {
            let more = try read(file, at: offset + Int64(bytes.count), count: count - bytes.count)
            if more.isEmpty { break }
            bytes += more
        }
        return bytes
    }
}

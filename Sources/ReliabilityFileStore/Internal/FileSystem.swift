/// The file system as the log sees it: the narrow seam behind which a test puts another one.
///
/// Every call blocks. A call that is interrupted before it began is begun again below the seam; a short read or write
/// is reported above it.
package protocol FileSystem: Sendable {
    /// The process that calls.
    var processIdentifier: Int32 { get }

    /// A number that nobody can foresee.
    func randomNumber() -> UInt64

    /// Opens a directory, and creates it first, for its owner only, where it is missing.
    ///
    /// It refuses a directory that somebody else owns or may write to, but for the superuser and the process's groups.
    func openDirectory(_ path: String) throws(FileSystemError) -> OpenFile

    /// Opens a directory that is there, to read what is in it.
    ///
    /// It creates and checks nothing.
    func openDirectoryToRead(_ path: String) throws(FileSystemError) -> OpenFile

    /// Locks a directory until it is closed, unless somebody else has locked it.
    func lock(_ directory: OpenFile) throws(FileSystemError)

    /// Locks a directory until it is closed, unless somebody has locked it who is not another reader.
    func lockShared(_ directory: OpenFile) throws(FileSystemError)

    /// Opens a file to read and write, and creates it first, for its owner only, where it is missing.
    func openOrCreateFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile

    /// Creates a file that must not be there yet, for its owner only, to read and write.
    func createFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile

    /// Opens a file to read.
    func openFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile

    /// Closes a file or a directory, and gives up the lock on it.
    func close(_ file: OpenFile)

    /// The file's size.
    func size(of file: OpenFile) throws(FileSystemError) -> Int64

    /// Reads up to `count` bytes: fewer perhaps, none only at the end of the file.
    func read(_ file: OpenFile, at offset: Int64, count: Int) throws(FileSystemError) -> [UInt8]

    /// Writes bytes, perhaps fewer than there are, and returns how many.
    func write(_ bytes: ArraySlice<UInt8>, to file: OpenFile, at offset: Int64) throws(FileSystemError) -> Int

    /// Makes everything that was written to the file survive the loss of power.
    ///
    /// It fails when the file has no name any more: then nothing survives.
    func sync(_ file: OpenFile) throws(FileSystemError)

    /// Gives a file another name, which it takes from the file that has it.
    func rename(_ name: String, to newName: String, in directory: OpenFile) throws(FileSystemError)

    /// Removes a file.
    func unlink(_ name: String, in directory: OpenFile) throws(FileSystemError)

    /// Makes the names in the directory survive the loss of power.
    func syncDirectory(_ directory: OpenFile) throws(FileSystemError)
}

/// An open file or directory.
package struct OpenFile: Hashable, Sendable {
    package let rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }
}

/// A call to the file system that failed.
package struct FileSystemError: Error, Hashable {
    package enum Kind: Hashable, Sendable {
        case noSpace
        case notFound
        case locked
        /// The directory is not safe to use.
        case refused
        /// The file system is mounted to be read only.
        case readOnly
        /// The file system does not know the call.
        case unsupported
        case other
    }
    package let kind: Kind
    package let explanation: String

    package init(_ kind: Kind, _ explanation: String) {
        self.kind = kind
        self.explanation = explanation
    }

    /// The same error with the store's directory in its explanation.
    func at(_ path: String) -> FileSystemError { FileSystemError(kind, "\(path): \(explanation)") }
}

extension FileSystem {
    /// Writes all of `bytes`.
    func writeAll(_ bytes: [UInt8], to file: OpenFile, at offset: Int64) throws(FileSystemError) {
        var written = 0
        while written < bytes.count {
            let count = try write(bytes[written...], to: file, at: offset + Int64(written))
            if count == 0 { throw FileSystemError(.other, "a write wrote nothing") }
            written += count
        }
    }

    /// Reads `count` bytes; fewer where the file ends.
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

import ReliabilityCore
import ReliabilityFileStore
import TestSupport

/// The operating system's files, with a gate at the creation of each checkpoint file in other directories than the
/// first.
final class GatedFileSystem: FileSystem {
    private let base = PosixFileSystem()
    private let directory: String
    private let gate = ThreadGate()
    /// Opens when a creation reaches the gate.
    let reached = TaskGate()
    /// The open directories with a gate.
    private let targets = Lock<Set<OpenFile>>([])

    /// - Parameter directory: The directory without a gate.
    init(except directory: String) { self.directory = directory }

    func open() { gate.open() }

    var processIdentifier: Int32 { base.processIdentifier }

    func randomNumber() -> UInt64 { base.randomNumber() }

    func openDirectory(_ path: String) throws(FileSystemError) -> OpenFile {
        let file = try base.openDirectory(path)
        if path != directory { targets.withLock { _ = $0.insert(file) } }
        return file
    }

    func openDirectoryToRead(_ path: String) throws(FileSystemError) -> OpenFile {
        try base.openDirectoryToRead(path)
    }

    func lock(_ directory: OpenFile) throws(FileSystemError) { try base.lock(directory) }

    func lockShared(_ directory: OpenFile) throws(FileSystemError) { try base.lockShared(directory) }

    func openOrCreateFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        try base.openOrCreateFile(name, in: directory)
    }

    func createFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        if targets.withLock({ $0.contains(directory) }), name.hasPrefix("checkpoint-") {
            reached.open()
            gate.pass()
        }
        return try base.createFile(name, in: directory)
    }

    func openFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        try base.openFile(name, in: directory)
    }

    func close(_ file: OpenFile) {
        targets.withLock { _ = $0.remove(file) }
        base.close(file)
    }

    func size(of file: OpenFile) throws(FileSystemError) -> Int64 { try base.size(of: file) }

    func read(_ file: OpenFile, at offset: Int64, count: Int) throws(FileSystemError) -> [UInt8] {
        try base.read(file, at: offset, count: count)
    }

    func write(_ bytes: ArraySlice<UInt8>, to file: OpenFile, at offset: Int64) throws(FileSystemError) -> Int {
        try base.write(bytes, to: file, at: offset)
    }

    func sync(_ file: OpenFile) throws(FileSystemError) { try base.sync(file) }

    func names(in directory: OpenFile) throws(FileSystemError) -> [String] { try base.names(in: directory) }

    func unlink(_ name: String, in directory: OpenFile) throws(FileSystemError) {
        try base.unlink(name, in: directory)
    }

    func syncDirectory(_ directory: OpenFile) throws(FileSystemError) { try base.syncDirectory(directory) }
}

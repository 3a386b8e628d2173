internal import ReliabilityCore
package import ReliabilityFileStore

/// A simulated file system for a store with its threads, of which one at a time makes a call.
package final class SharedFileSystem: FileSystem {
    private let fileSystem: Lock<SimulatedFileSystem>

    package init(_ fileSystem: SimulatedFileSystem) { self.fileSystem = Lock(fileSystem) }

    /// Calls `body` while no thread makes a call.
    package func with<Result: Sendable>(_ body: (SimulatedFileSystem) -> Result) -> Result {
        fileSystem.withLock { body($0) }
    }

    private func call<Result: Sendable>(
        _ body: (SimulatedFileSystem) throws(FileSystemError) -> Result
    ) throws(FileSystemError) -> Result {
        try fileSystem.withLock { fileSystem throws(FileSystemError) in try body(fileSystem) }
    }

    package var processIdentifier: Int32 { with { $0.processIdentifier } }

    package func randomNumber() -> UInt64 { with { $0.randomNumber() } }

    package func openDirectory(_ path: String) throws(FileSystemError) -> OpenFile {
        try call { files throws(FileSystemError) in try files.openDirectory(path) }
    }

    package func openDirectoryToRead(_ path: String) throws(FileSystemError) -> OpenFile {
        try call { files throws(FileSystemError) in try files.openDirectoryToRead(path) }
    }

    package func lock(_ directory: OpenFile) throws(FileSystemError) {
        try call { files throws(FileSystemError) in try files.lock(directory) }
    }

    package func lockShared(_ directory: OpenFile) throws(FileSystemError) {
        try call { files throws(FileSystemError) in try files.lockShared(directory) }
    }

    package func openOrCreateFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        try call { files throws(FileSystemError) in try files.openOrCreateFile(name, in: directory) }
    }

    package func createFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        try call { files throws(FileSystemError) in try files.createFile(name, in: directory) }
    }

    package func openFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        try call { files throws(FileSystemError) in try files.openFile(name, in: directory) }
    }

    package func close(_ file: OpenFile) { with { $0.close(file) } }

    package func size(of file: OpenFile) throws(FileSystemError) -> Int64 {
        try call { files throws(FileSystemError) in try files.size(of: file) }
    }

    package func read(_ file: OpenFile, at offset: Int64, count: Int) throws(FileSystemError) -> [UInt8] {
        try call { files throws(FileSystemError) in try files.read(file, at: offset, count: count) }
    }

    package func write(_ bytes: ArraySlice<UInt8>, to file: OpenFile, at offset: Int64) throws(FileSystemError) -> Int {
        try call { files throws(FileSystemError) in try files.write(bytes, to: file, at: offset) }
    }

    package func sync(_ file: OpenFile) throws(FileSystemError) {
        try call { files throws(FileSystemError) in try files.sync(file) }
    }

    package func names(in directory: OpenFile) throws(FileSystemError) -> [String] {
        try call { files throws(FileSystemError) in try files.names(in: directory) }
    }

    package func unlink(_ name: String, in directory: OpenFile) throws(FileSystemError) {
        try call { files throws(FileSystemError) in try files.unlink(name, in: directory) }
    }

    package func syncDirectory(_ directory: OpenFile) throws(FileSystemError) {
        try call { files throws(FileSystemError) in try files.syncDirectory(directory) }
    }
}

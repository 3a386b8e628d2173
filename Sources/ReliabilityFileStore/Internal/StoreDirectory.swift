internal import ReliabilityCore
internal import ReliabilityStore

/// An open and locked directory of a store.
struct StoreDirectory: Sendable {
    private let fileSystem: any FileSystem
    private let directory: OpenFile
    /// The file LOCK, or `nil` if the directory is open for reading and has no such file.
    private let lockFile: OpenFile?
    private let process: Int32
    /// The directory's path for error messages.
    let path: String

    // The lock itself is on the directory. The file LOCK has two lines: the process id of the owner, for an operator,
    // and a marker that the directory has a log.
    private static let ownerLength = 16
    private static let logMarker = Array("has a log\n".utf8)

    /// Opens and locks a directory and creates a missing directory.
    init(_ path: String, _ fileSystem: any FileSystem) throws(StoreError) {
        let process = fileSystem.processIdentifier
        let directory = try withStoreErrors { () throws(FileSystemError) in try fileSystem.openDirectory(path) }
        do throws(FileSystemError) {
            try fileSystem.lock(directory)
        } catch {
            defer { fileSystem.close(directory) }
            throw Self.lockError(error, directory, fileSystem)
        }
        do throws(FileSystemError) {
            lockFile = try fileSystem.openOrCreateFile(LogFormat.lockName, in: directory)
        } catch {
            fileSystem.close(directory)
            throw StoreError(error)
        }
        self.fileSystem = fileSystem
        self.directory = directory
        self.process = process
        self.path = path
    }

    /// Opens a directory for reading.
    ///
    /// No owner can open the store until ``close()``.
    init(reading path: String, _ fileSystem: any FileSystem) throws(StoreError) {
        let directory = try withStoreErrors { () throws(FileSystemError) in try fileSystem.openDirectoryToRead(path) }
        do throws(FileSystemError) {
            try fileSystem.lockShared(directory)
        } catch {
            defer { fileSystem.close(directory) }
            throw Self.lockError(error, directory, fileSystem)
        }
        do throws(FileSystemError) {
            lockFile = try fileSystem.openFile(LogFormat.lockName, in: directory)
        } catch {
            guard error.kind == .notFound else {
                fileSystem.close(directory)
                throw StoreError(error)
            }
            lockFile = nil
        }
        self.fileSystem = fileSystem
        self.directory = directory
        self.path = path
        process = fileSystem.processIdentifier
    }

    private static func lockError(
        _ error: FileSystemError,
        _ directory: OpenFile,
        _ fileSystem: any FileSystem
    ) -> StoreError {
        guard error.kind == .locked else { return StoreError(error) }
        let owner = owner(in: directory, fileSystem).map { " (process \($0))" } ?? ""
        return StoreError(.locked, "another owner has the store open\(owner)", underlyingError: error)
    }

    /// Writes the process id of the owner to the file LOCK.
    ///
    /// The process id is information for an operator and is not synced.
    func recordOwner() throws(FileSystemError) {
        var owner = Array("\(process)".utf8.prefix(Self.ownerLength - 1))
        owner += repeatElement(UInt8(ascii: " "), count: Self.ownerLength - 1 - owner.count)
        owner.append(UInt8(ascii: "\n"))
        guard let lockFile else { return }
        try fileSystem.writeAll(owner, to: lockFile, at: 0)
    }

    private static func owner(in directory: OpenFile, _ fileSystem: any FileSystem) -> Int32? {
        guard let file = try? fileSystem.openFile(LogFormat.lockName, in: directory) else { return nil }
        defer { fileSystem.close(file) }
        let bytes = (try? fileSystem.readAll(file, at: 0, count: ownerLength)) ?? []
        return Int32(String(decoding: bytes.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self))
    }

    /// Reads the log into a state.
    ///
    /// - Returns: The figures of the log, or `nil` if the store is new.
    /// - Throws: `StoreError`.
    func replay(into state: inout StoreStateMachine) throws(StoreError) -> LogContents? {
        let file: OpenFile
        do throws(FileSystemError) {
            file = try fileSystem.openFile(LogFormat.fileName, in: directory)
        } catch {
            guard error.kind == .notFound else { throw StoreError(error) }
            if try withStoreErrors({ () throws(FileSystemError) in try hasLogMarker() }) {
                throw StoreError(
                    .corruption(file: LogFormat.fileName, offset: 0),
                    "the log is missing, although LOCK records that the store had a log"
                )
            }
            return nil
        }
        defer { fileSystem.close(file) }
        let size = try withStoreErrors { () throws(FileSystemError) in try fileSystem.size(of: file) }
        let reader = LogReader(size: size) { [fileSystem] offset, count throws(FileSystemError) in
            try fileSystem.readAll(file, at: offset, count: count)
        }
        do throws(LogReader.Failure) {
            return try reader.replay { state.apply($0) }
        } catch {
            switch error {
            case .damaged(let offset):
                let reason = StoreError.Reason.corruption(file: LogFormat.fileName, offset: offset)
                throw StoreError(reason, "the log is damaged at offset \(offset)")
            case .unknownFormat(let version):
                throw StoreError(
                    .unsupportedFormat(Int(version)),
                    "the log has format \(version); this version reads format \(LogFormat.version)"
                )
            case .fileSystem(let error):
                throw StoreError(error)
            }
        }
    }

    /// Writes a new log next to the log in use.
    func newLog(
        _ snapshot: [StoreMutation],
        _ position: LogPosition,
        growth: Int64
    ) throws(FileSystemError) -> LogFile {
        try LogFile(snapshot: snapshot, position: position, growth: growth, in: directory, of: fileSystem)
    }

    /// Writes and syncs the marker that the store has a log.
    ///
    /// A missing log is an error from then on.
    func writeLogMarker() throws(FileSystemError) {
        guard let lockFile else { return }
        // The marker is written even if it is present. After a failed sync, it may exist only in the page cache.
        try fileSystem.writeAll(Self.logMarker, to: lockFile, at: Int64(Self.ownerLength))
        try fileSystem.sync(lockFile)
    }

    private func hasLogMarker() throws(FileSystemError) -> Bool {
        guard let lockFile else { return false }
        let marker = try fileSystem.readAll(lockFile, at: Int64(Self.ownerLength), count: Self.logMarker.count)
        return marker == Self.logMarker
    }

    /// A Boolean value that indicates whether this process opened the store and is not a fork of that process.
    var isOwnProcess: Bool { fileSystem.processIdentifier == process }

    func checkProcess() throws(StoreError) {
        if isOwnProcess { return }
        throw StoreError(.failed, "process \(process) opened the store; this forked process cannot use the store")
    }

    /// Closes the directory and releases the lock.
    func close() {
        if let lockFile { fileSystem.close(lockFile) }
        fileSystem.close(directory)
    }
}

extension StoreError {
    /// Returns the error with the store's directory and advice in its explanation.
    func at(_ path: String, _ advice: String = "") -> StoreError {
        StoreError(reason, "\(path): \(explanation)\(advice)", underlyingError: underlyingError)
    }
}

/// Runs `body` and converts its errors to `StoreError`.
func withStoreErrors<Result>(
    _ body: () throws(FileSystemError) -> Result
) throws(StoreError) -> Result {
    do throws(FileSystemError) { return try body() } catch { throw StoreError(error) }
}

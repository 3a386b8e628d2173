internal import ReliabilityCore
internal import ReliabilityStore

/// A store's directory, open and locked.
struct StoreHome: Sendable {
    private let fileSystem: any FileSystem
    private let directory: OpenFile
    /// The file LOCK; `nil` where the directory is only read and there is none.
    private let note: OpenFile?
    private let process: Int32
    /// The directory's path, for errors.
    let path: String

    // The lock itself is on the directory. The file of that name has notes: the owner's process in the first line, for
    // people who look; then a line that says that there is a log.
    private static let ownerLength = 16
    private static let mark = Array("has a log\n".utf8)

    /// Opens and locks a directory, which is created when it is missing.
    init(_ path: String, _ fileSystem: any FileSystem) throws(StoreError) {
        let process = fileSystem.processIdentifier
        let directory = try storing { () throws(FileSystemError) in try fileSystem.openDirectory(path) }
        do throws(FileSystemError) {
            try fileSystem.lock(directory)
        } catch {
            defer { fileSystem.close(directory) }
            throw Self.lockError(error, directory, fileSystem)
        }
        do throws(FileSystemError) {
            note = try fileSystem.openOrCreateFile(LogFormat.lockName, in: directory)
        } catch {
            fileSystem.close(directory)
            throw StoreError(error)
        }
        self.fileSystem = fileSystem
        self.directory = directory
        self.process = process
        self.path = path
    }

    /// Opens a directory to read it, which changes nothing, and keeps owners away until it is closed.
    init(reading path: String, _ fileSystem: any FileSystem) throws(StoreError) {
        let directory = try storing { () throws(FileSystemError) in try fileSystem.openDirectoryToRead(path) }
        do throws(FileSystemError) {
            try fileSystem.lockShared(directory)
        } catch {
            defer { fileSystem.close(directory) }
            throw Self.lockError(error, directory, fileSystem)
        }
        do throws(FileSystemError) {
            note = try fileSystem.openFile(LogFormat.lockName, in: directory)
        } catch {
            guard error.kind == .notFound else {
                fileSystem.close(directory)
                throw StoreError(error)
            }
            note = nil
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

    /// Notes who the owner is.
    ///
    /// Nobody relies on it, so it is not synced.
    func noteOwner() throws(FileSystemError) {
        var owner = Array("\(process)".utf8.prefix(Self.ownerLength - 1))
        owner += repeatElement(UInt8(ascii: " "), count: Self.ownerLength - 1 - owner.count)
        owner.append(UInt8(ascii: "\n"))
        guard let note else { return }
        try fileSystem.writeAll(owner, to: note, at: 0)
    }

    private static func owner(in directory: OpenFile, _ fileSystem: any FileSystem) -> Int32? {
        guard let file = try? fileSystem.openFile(LogFormat.lockName, in: directory) else { return nil }
        defer { fileSystem.close(file) }
        let bytes = (try? fileSystem.readAll(file, at: 0, count: ownerLength)) ?? []
        return Int32(String(decoding: bytes.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self))
    }

    /// Reads the log into a state.
    ///
    /// - Returns: What it said; nil when the store is new.
    func replay(into state: inout StoreState) throws(StoreError) -> LogContents? {
        let file: OpenFile
        do throws(FileSystemError) {
            file = try fileSystem.openFile(LogFormat.fileName, in: directory)
        } catch {
            guard error.kind == .notFound else { throw StoreError(error) }
            if try storing({ () throws(FileSystemError) in try hasMark() }) {
                throw StoreError(.corruption(file: LogFormat.fileName, offset: 0), "the log is missing")
            }
            return nil
        }
        defer { fileSystem.close(file) }
        let size = try storing { () throws(FileSystemError) in try fileSystem.size(of: file) }
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
                throw StoreError(.unsupportedFormat(Int(version)), "the log has format \(version)")
            case .fileSystem(let error):
                throw StoreError(error)
            }
        }
    }

    /// Writes a new log beside the one that is in use.
    func newLog(
        _ snapshot: [StoreMutation],
        _ moment: LogMoment,
        growth: Int64
    ) throws(FileSystemError) -> LogFile {
        try LogFile(snapshot: snapshot, moment: moment, growth: growth, in: directory, of: fileSystem)
    }

    /// Notes that there is a log: from now on it is an error when it is missing.
    func markReady() throws(FileSystemError) {
        guard let note else { return }
        // Also where it is there: what was written before a sync that failed may be in the system's memory only.
        try fileSystem.writeAll(Self.mark, to: note, at: Int64(Self.ownerLength))
        try fileSystem.sync(note)
    }

    private func hasMark() throws(FileSystemError) -> Bool {
        guard let note else { return false }
        return try fileSystem.readAll(note, at: Int64(Self.ownerLength), count: Self.mark.count) == Self.mark
    }

    /// Whether this is the process that opened the store, and not a fork of it.
    var isOwnProcess: Bool { fileSystem.processIdentifier == process }

    func checkProcess() throws(StoreError) {
        if isOwnProcess { return }
        throw StoreError(.failed, "the store was opened by another process, of which this one is a fork")
    }

    /// Closes the directory and gives up the lock.
    func close() {
        if let note { fileSystem.close(note) }
        fileSystem.close(directory)
    }
}

extension StoreError {
    /// The same error with the store's directory in its explanation, and advice.
    func at(_ path: String, _ advice: String = "") -> StoreError {
        StoreError(reason, "\(path): \(explanation)\(advice)", underlyingError: underlyingError)
    }
}

/// Runs `body`, and says in a store's words what went wrong in it.
func storing<Result>(
    _ body: () throws(FileSystemError) -> Result
) throws(StoreError) -> Result {
    do throws(FileSystemError) { return try body() } catch { throw StoreError(error) }
}

internal import ReliabilityCore
internal import ReliabilityStore

/// An open and locked directory of a store.
struct StoreDirectory: Sendable {
    let fileSystem: any FileSystem
    let directory: OpenFile
    /// The file LOCK, or `nil` if the directory is open for reading and has no such file.
    private let lockFile: OpenFile?
    private let process: Int32
    /// The directory's path for error messages.
    let path: String
    /// The progress that ``read(_:_:)`` reports, or `nil` for none.
    var progress: ReadProgress?

    // The lock itself is on the directory. The file LOCK has three lines: the process id of the owner, for an operator,
    // a mark that the directory has a log, which is the only mark in format 1, and the number of a segment in use.
    private static let ownerLength = 16
    private static let logMark = Array("has a log\n".utf8)
    /// The second line before the first segment is in use.
    private static let newMark = Array("is new   \n".utf8)

    /// Opens and locks a directory and creates a missing directory.
    init(_ path: String, _ fileSystem: any FileSystem) throws(StoreError) {
        let process = fileSystem.processIdentifier
        let directory = try Self.openLocked(path, fileSystem)
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

    /// Opens and locks a directory without files for a new store, and creates a missing directory.
    init(newAt path: String, _ fileSystem: any FileSystem) throws(StoreError) {
        let directory = try Self.openLocked(path, fileSystem)
        do throws(StoreError) {
            let names = try withStoreErrors { () throws(FileSystemError) in try fileSystem.names(in: directory) }
            if !names.isEmpty {
                throw StoreError(.invalid, "the directory is not empty (\(names.count) files); name a new directory")
            }
            lockFile = try withStoreErrors { () throws(FileSystemError) in
                try fileSystem.createFile(LogFormat.lockName, in: directory)
            }
        } catch {
            fileSystem.close(directory)
            throw error
        }
        self.fileSystem = fileSystem
        self.directory = directory
        self.path = path
        process = fileSystem.processIdentifier
    }

    private static func openLocked(_ path: String, _ fileSystem: any FileSystem) throws(StoreError) -> OpenFile {
        let directory = try withStoreErrors { () throws(FileSystemError) in try fileSystem.openDirectory(path) }
        do throws(FileSystemError) {
            try fileSystem.lock(directory)
            return directory
        } catch {
            defer { fileSystem.close(directory) }
            throw Self.lockError(error, directory, fileSystem)
        }
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

    /// The mark in the file LOCK.
    enum Mark: Hashable {
        case none
        /// No segment was ever in use.
        case new
        /// The store has a log in format 1.
        case firstFormat
        /// The segment with this number is in use, and later segments may be.
        case segment(UInt64)
    }

    func mark() throws(FileSystemError) -> Mark {
        guard let lockFile else { return .none }
        let start = Self.logMark.count
        let bytes = try fileSystem.readAll(lockFile, at: Int64(Self.ownerLength), count: start + Self.segmentLineLength)
        let line = String(decoding: bytes.dropFirst(start), as: UTF8.self)
        if let number = UInt64(line.dropFirst(8).prefix(16), radix: 16), line == Self.segmentLine(number),
            number <= LogFormat.maxNumber
        {
            return .segment(number)
        }
        if bytes.starts(with: Self.newMark) { return .new }
        return bytes.starts(with: Self.logMark) ? .firstFormat : .none
    }

    /// Writes the mark that no segment was ever in use, and makes the mark and the name of LOCK durable.
    ///
    /// Without the mark, an opening would report a segment that a crash left incomplete as damage.
    func writeNewMark() throws(FileSystemError) {
        guard let lockFile else { return }
        try fileSystem.writeAll(Self.newMark, to: lockFile, at: Int64(Self.ownerLength))
        try fileSystem.sync(lockFile)
        try fileSystem.syncDirectory(directory)
    }

    /// Writes and syncs the mark that a segment is in use.
    ///
    /// From then on, an opening reports an error if the segment is missing or damaged.
    func writeMark(_ number: UInt64) throws(FileSystemError) {
        guard let lockFile else { return }
        let mark = Self.logMark + Self.segmentLine(number).utf8
        try fileSystem.writeAll(mark, to: lockFile, at: Int64(Self.ownerLength))
        try fileSystem.sync(lockFile)
    }

    private static let segmentLineLength = 34

    private static func segmentLine(_ number: UInt64) -> String {
        func digits(_ number: UInt64, _ count: Int) -> String {
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: max(0, count - digits.utf8.count)) + digits
        }
        let text = "segment " + digits(number, 16)
        var checksum = CRC32C()
        checksum.add(Array(text.utf8), 0..<text.utf8.count)
        return text + " " + digits(UInt64(checksum.value), 8) + "\n"
    }

    /// Returns the names of all files.
    func names() throws(FileSystemError) -> [String] { try fileSystem.names(in: directory) }

    /// Creates a segment or a checkpoint file.
    func create(
        _ kind: FileHeader.Kind,
        _ number: UInt64,
        of store: UInt64,
        after previous: SegmentEnd? = nil
    ) throws(FileSystemError) -> LogFile {
        try LogFile(creating: kind, number, of: store, after: previous, in: directory, fileSystem)
    }

    /// Removes a file.
    ///
    /// A missing file is no error.
    func remove(_ name: String) throws(FileSystemError) {
        do throws(FileSystemError) { try fileSystem.unlink(name, in: directory) } catch  where error.kind == .notFound {
        }
    }

    func sync() throws(FileSystemError) { try fileSystem.syncDirectory(directory) }

    /// Writes zeros of `size` bytes into the reserve.
    func fillReserve(_ size: Int64) throws(FileSystemError) {
        let file = try fileSystem.openOrCreateFile(LogFormat.reserveName, in: directory)
        defer { fileSystem.close(file) }
        let zeros = [UInt8](repeating: 0, count: 64 << 10)
        var offset = try fileSystem.size(of: file)
        while offset < size {
            let count = Int(min(size - offset, Int64(zeros.count)))
            try fileSystem.writeAll(Array(zeros.prefix(count)), to: file, at: offset)
            offset += Int64(count)
        }
        try fileSystem.sync(file)
    }

    /// Reads a file with a reader.
    ///
    /// - Throws: `StoreError` with the reason `corruption` if the file is missing or damaged.
    func read<Result>(
        _ name: String,
        _ body: (LogReader) throws(LogReader.Failure) -> Result
    ) throws(StoreError) -> Result {
        let file: OpenFile
        do throws(FileSystemError) {
            file = try fileSystem.openFile(name, in: directory)
        } catch {
            guard error.kind == .notFound else { throw StoreError(error) }
            throw .damaged(name, 0, "\(name) is missing, although the store needs the file")
        }
        defer { fileSystem.close(file) }
        let size = try withStoreErrors { () throws(FileSystemError) in try fileSystem.size(of: file) }
        let reader = LogReader(size: size) { [fileSystem, progress] offset, count throws(FileSystemError) in
            let bytes = try fileSystem.readAll(file, at: offset, count: count)
            progress?.didRead(name, to: offset + Int64(bytes.count))
            return bytes
        }
        do throws(LogReader.Failure) {
            return try body(reader)
        } catch {
            switch error {
            case .damaged(let offset):
                throw .damaged(name, offset, "\(name) is damaged at offset \(offset)")
            case .unknownFormat(let version):
                throw StoreError(
                    .unsupportedFormat(Int(version)),
                    "\(name) has format \(version); this version reads the formats 1 and \(LogFormat.version)"
                )
            case .fileSystem(let error):
                throw StoreError(error)
            }
        }
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
    static func damaged(_ file: String, _ offset: Int64, _ explanation: String) -> StoreError {
        StoreError(.corruption(file: file, offset: offset), explanation)
    }

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

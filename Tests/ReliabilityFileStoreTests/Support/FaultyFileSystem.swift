import ReliabilityCore
import ReliabilityFileStore

/// A file system with a fault at one call and with a list of open files.
struct FaultyFileSystem: FileSystem {
    struct Fault {
        var call: Int
        var kind: FileSystemError.Kind
        /// A Boolean value that indicates whether the call takes effect before it fails.
        var isLate: Bool
    }

    private struct State {
        var calls = 0
        var open: Set<OpenFile> = []
        var closedTwice = false
    }

    private final class Storage: Sendable { let state = Lock(State()) }

    let base: MemoryFileSystem
    var fault: Fault?
    private let storage = Storage()

    init(_ base: MemoryFileSystem, _ fault: Fault? = nil) {
        self.base = base
        self.fault = fault
    }

    var calls: Int { storage.state.withLock { $0.calls } }
    var openCount: Int { storage.state.withLock { $0.open.count } }
    var closedTwice: Bool { storage.state.withLock { $0.closedTwice } }

    private func run<Result>(_ body: () throws(FileSystemError) -> Result) throws(FileSystemError) -> Result {
        let call = storage.state.withLock { state in
            state.calls += 1
            return state.calls
        }
        guard let fault, fault.call == call else { return try body() }
        if fault.isLate { _ = try body() }
        throw FileSystemError(fault.kind, "fault at call \(call)")
    }

    private func opening(_ body: () throws(FileSystemError) -> OpenFile) throws(FileSystemError) -> OpenFile {
        // A call that opens a file takes no effect if it fails.
        if fault?.isLate == true, fault?.call == calls + 1 { storage.state.withLock { $0.calls += 1 } }
        let file = try run(body)
        storage.state.withLock { _ = $0.open.insert(file) }
        return file
    }

    var processIdentifier: Int32 { base.processIdentifier }

    func randomNumber() -> UInt64 { base.randomNumber() }

    func openDirectory(_ path: String) throws(FileSystemError) -> OpenFile {
        try opening { () throws(FileSystemError) in try base.openDirectory(path) }
    }

    func openDirectoryToRead(_ path: String) throws(FileSystemError) -> OpenFile {
        try opening { () throws(FileSystemError) in try base.openDirectoryToRead(path) }
    }

    func lockShared(_ directory: OpenFile) throws(FileSystemError) {
        try run { () throws(FileSystemError) in try base.lockShared(directory) }
    }

    func lock(_ directory: OpenFile) throws(FileSystemError) {
        try run { () throws(FileSystemError) in try base.lock(directory) }
    }

    func openOrCreateFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        try opening { () throws(FileSystemError) in try base.openOrCreateFile(name, in: directory) }
    }

    func createFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        try opening { () throws(FileSystemError) in try base.createFile(name, in: directory) }
    }

    func openFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        try opening { () throws(FileSystemError) in try base.openFile(name, in: directory) }
    }

    func close(_ file: OpenFile) {
        storage.state.withLock { if $0.open.remove(file) == nil { $0.closedTwice = true } }
        base.close(file)
    }

    func size(of file: OpenFile) throws(FileSystemError) -> Int64 {
        try run { () throws(FileSystemError) in try base.size(of: file) }
    }

    func read(_ file: OpenFile, at offset: Int64, count: Int) throws(FileSystemError) -> [UInt8] {
        try run { () throws(FileSystemError) in try base.read(file, at: offset, count: count) }
    }

    func write(_ bytes: ArraySlice<UInt8>, to file: OpenFile, at offset: Int64) throws(FileSystemError) -> Int {
        try run { () throws(FileSystemError) in try base.write(bytes, to: file, at: offset) }
    }

    func sync(_ file: OpenFile) throws(FileSystemError) {
        try run { () throws(FileSystemError) in try base.sync(file) }
    }

    func names(in directory: OpenFile) throws(FileSystemError) -> [String] {
        try run { () throws(FileSystemError) in try base.names(in: directory) }
    }

    func unlink(_ name: String, in directory: OpenFile) throws(FileSystemError) {
        try run { () throws(FileSystemError) in try base.unlink(name, in: directory) }
    }

    func syncDirectory(_ directory: OpenFile) throws(FileSystemError) {
        try run { () throws(FileSystemError) in try base.syncDirectory(directory) }
    }
}

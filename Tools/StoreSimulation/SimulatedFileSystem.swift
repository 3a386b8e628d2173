package import ReliabilityFileStore

/// A directory in memory with faults and losses of power on demand.
///
/// A copy is cheap, so every state after a crash starts from a copy.
package final class SimulatedFileSystem: FileSystem, @unchecked Sendable {
    // @unchecked Sendable: only one thread at a time uses an instance. There is no lock, for speed.

    /// A call as a trace of system calls shows it.
    package struct Call: Hashable, Sendable {
        package enum Kind: Hashable, Sendable {
            case openDirectory, lock, openOrCreate, create, open, close, size, read, write, sync, names, unlink
            case syncDirectory
        }
        package var kind: Kind
        /// The name under which the file was opened, or an empty name for the directory.
        package var name: String
        package var offset: Int64
        package var count: Int

        package init(kind: Kind, name: String, offset: Int64 = 0, count: Int = 0) {
            self.kind = kind
            self.name = name
            self.offset = offset
            self.count = count
        }
    }

    /// A fault.
    package struct Fault: Hashable, Sendable {
        package enum Kind: Hashable, Sendable {
            /// The call fails without an effect.
            case error
            /// The disk is full.
            ///
            /// A call that needs space fails. A write fails after the first half of its bytes if `writesHalf` is
            /// `true`.
            case noSpace(writesHalf: Bool)
            /// The call fails for lack of space without an effect, even if it needs no space.
            case noSpaceError
            /// The call takes effect and fails.
            case lateError
            /// The call reads or writes half of the bytes and returns their number.
            case short
        }
        package var kind: Kind
        /// The number of the call, counted from 1 over all calls that can fail.
        package var call: Int
        /// A Boolean value that indicates whether all later calls fail as well.
        package var isPermanent: Bool
        /// A Boolean value that indicates whether programs still read content that a failed sync did not write.
        package var cacheKeepsContent: Bool

        package init(_ kind: Kind, atCall call: Int, isPermanent: Bool = false, cacheKeepsContent: Bool = true) {
            self.kind = kind
            self.call = call
            self.isPermanent = isPermanent
            self.cacheKeepsContent = cacheKeepsContent
        }
    }

    private struct Descriptor {
        /// The number of the file, or -1 for the directory, or -2 for a closed file.
        var file: Int
        var name: String
        var hasFailedSync = false
        static let directory = -1
        static let closed = -2
    }

    package private(set) var disk: SimulatedDisk
    private var descriptors: [Descriptor] = []
    private var lockedBy: OpenFile?
    private var randomness: SplitMix
    package private(set) var processIdentifier: Int32

    /// The calls while `recordsCalls` is `true`.
    package private(set) var calls: [Call] = []
    package var recordsCalls = false
    /// The number of calls that can fail.
    package private(set) var callCount = 0
    /// The number of calls that changed something or would have changed something.
    package private(set) var changeCount = 0
    /// The disk after every call that changed something, while `keepsSnapshots` is `true`.
    package private(set) var snapshots: [SimulatedDisk] = []
    package var keepsSnapshots = false

    package var fault: Fault?
    /// A Boolean value that indicates whether the fault has occurred.
    package private(set) var hasFailed = false
    /// A Boolean value that indicates whether the fault has occurred outside of a maintenance step.
    package private(set) var hasAffectedLog = false
    /// A Boolean value that indicates whether a maintenance step makes the calls.
    package var isMaintaining = false
    /// The number of the call at which the power ends, counted from 1 over the calls that change something.
    package var powerEndsAtChange: Int?
    package private(set) var hasPower = true
    /// The maximum number of bytes that one call writes or reads.
    package var longestWrite = Int.max
    package var longestRead = Int.max
    /// The maximum size of all files together.
    package var capacity = Int.max
    /// The misuses of the file system by the store.
    package private(set) var misuse: String?

    /// A file system with one directory.
    ///
    /// - Parameters:
    ///   - seed: The seed of the random numbers.
    ///   - disk: The content of the directory.
    package convenience init(seed: UInt64 = 0, _ disk: SimulatedDisk = SimulatedDisk()) {
        self.init(disk, randomness: SplitMix(seed), processIdentifier: 1)
    }

    private init(_ disk: SimulatedDisk, randomness: SplitMix, processIdentifier: Int32) {
        self.disk = disk
        self.randomness = randomness
        self.processIdentifier = processIdentifier
    }

    /// Returns the file system for the next process, without open files and without a fault.
    ///
    /// - Parameter disk: The disk. Defaults to the disk of this process.
    /// - Returns: The file system.
    package func restarted(with disk: SimulatedDisk? = nil) -> SimulatedFileSystem {
        SimulatedFileSystem(
            disk ?? self.disk,
            randomness: randomness,
            processIdentifier: processIdentifier &+ 1
        )
    }

    /// The number of open files and directories.
    package var openCount: Int { descriptors.count { $0.file != Descriptor.closed } }

    package func clearCalls() { calls = [] }

    package func clearSnapshots() { snapshots = [] }

    // MARK: Faults

    private enum CallEffect {
        case go
        case performThenFail(FileSystemError)
        case writeHalf(FileSystemError)
        case short
    }

    /// Counts a call and returns its fault.
    private func begin(
        _ call: @autoclosure () -> Call,
        changes: Bool = false,
        takesSpace: Bool = false
    ) throws(FileSystemError) -> CallEffect {
        if recordsCalls { calls.append(call()) }
        callCount += 1
        if changes {
            changeCount += 1
            if changeCount == powerEndsAtChange { hasPower = false }
        }
        if !hasPower { throw FileSystemError(.other, "no power") }
        guard let fault, fault.isPermanent ? callCount >= fault.call : callCount == fault.call else { return .go }
        func strike() {
            hasFailed = true
            if !isMaintaining { hasAffectedLog = true }
        }
        switch fault.kind {
        case .error:
            strike()
            throw FileSystemError(.other, "a fault at call \(callCount)")
        case .noSpaceError:
            strike()
            throw FileSystemError(.noSpace, "the disk is full at call \(callCount)")
        case .lateError:
            strike()
            return .performThenFail(FileSystemError(.other, "a fault after call \(callCount)"))
        case .short:
            strike()
            return .short
        case .noSpace(let writesHalf):
            guard takesSpace else { return .go }
            strike()
            let error = FileSystemError(.noSpace, "the disk is full at call \(callCount)")
            if writesHalf { return .writeHalf(error) }
            throw error
        }
    }

    /// Completes a call that changed something.
    private func end(_ result: CallEffect) throws(FileSystemError) {
        if keepsSnapshots { snapshots.append(disk) }
        if case .performThenFail(let error) = result { throw error }
    }

    // MARK: FileSystem

    package func randomNumber() -> UInt64 {
        randomness.next()
    }

    private func open(_ file: Int, _ name: String) -> OpenFile {
        descriptors.append(Descriptor(file: file, name: name))
        return OpenFile(rawValue: Int32(descriptors.count - 1))
    }

    private func file(_ open: OpenFile) throws(FileSystemError) -> Int {
        let file = descriptors[Int(open.rawValue)].file
        if file < 0 { throw FileSystemError(.other, "not an open file") }
        return file
    }

    /// The size of all files together.
    package var usedBytes: Int {
        disk.files.indices.reduce(0) { sum, file in
            let isThere = disk.hasName(file) || descriptors.contains { $0.file == file }
            return isThere ? sum + disk.files[file].bytes.count : sum
        }
    }

    private var freeBytes: Int { max(0, capacity - usedBytes) }

    private func name(_ open: OpenFile) -> String { descriptors[Int(open.rawValue)].name }

    package func openDirectory(_ path: String) throws(FileSystemError) -> OpenFile {
        if case .performThenFail(let error) = try begin(Call(kind: .openDirectory, name: "")) { throw error }
        return open(Descriptor.directory, "")
    }

    package func lock(_ directory: OpenFile) throws(FileSystemError) {
        if case .performThenFail(let error) = try begin(Call(kind: .lock, name: "")) { throw error }
        if lockedBy != nil { throw FileSystemError(.locked, "another owner has it open") }
        lockedBy = directory
    }

    package func openDirectoryToRead(_ path: String) throws(FileSystemError) -> OpenFile {
        try openDirectory(path)
    }

    package func lockShared(_ directory: OpenFile) throws(FileSystemError) {
        if case .performThenFail(let error) = try begin(Call(kind: .lock, name: "")) { throw error }
        // At most one reader is open at a time.
        if lockedBy != nil { throw FileSystemError(.locked, "another owner has it open") }
        lockedBy = directory
    }

    package func openOrCreateFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        if let file = disk.file(name) {
            if case .performThenFail(let error) = try begin(Call(kind: .openOrCreate, name: name)) { throw error }
            return open(file, name)
        }
        let result = try begin(Call(kind: .openOrCreate, name: name), changes: true, takesSpace: true)
        if case .writeHalf(let error) = result { throw error }
        let file = disk.create(name)
        try end(result)
        return open(file, name)
    }

    package func createFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        let result = try begin(Call(kind: .create, name: name), changes: true, takesSpace: true)
        if case .writeHalf(let error) = result { throw error }
        if disk.file(name) != nil { throw FileSystemError(.other, "the file exists") }
        let file = disk.create(name)
        try end(result)
        return open(file, name)
    }

    package func openFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        if case .performThenFail(let error) = try begin(Call(kind: .open, name: name)) { throw error }
        guard let file = disk.file(name) else { throw FileSystemError(.notFound, "not found") }
        return open(file, name)
    }

    package func close(_ file: OpenFile) {
        if recordsCalls { calls.append(Call(kind: .close, name: name(file))) }
        if descriptors[Int(file.rawValue)].file == Descriptor.closed { misuse = "a file was closed twice" }
        descriptors[Int(file.rawValue)].file = Descriptor.closed
        if lockedBy == file { lockedBy = nil }
    }

    package func size(of file: OpenFile) throws(FileSystemError) -> Int64 {
        let number = try self.file(file)
        if case .performThenFail(let error) = try begin(Call(kind: .size, name: name(file))) { throw error }
        return Int64(disk.files[number].bytes.count)
    }

    package func read(_ file: OpenFile, at offset: Int64, count: Int) throws(FileSystemError) -> [UInt8] {
        let number = try self.file(file)
        let call = try begin(Call(kind: .read, name: name(file), offset: offset, count: count))
        if case .performThenFail(let error) = call { throw error }
        let size = disk.files[number].bytes.count
        let start = min(size, Int(offset))
        var end = start + min(count, longestRead, size - start)
        if case .short = call { end -= (end - start) / 2 }
        return Array(disk.files[number].bytes[start..<end])
    }

    package func write(_ bytes: ArraySlice<UInt8>, to file: OpenFile, at offset: Int64) throws(FileSystemError) -> Int {
        let number = try self.file(file)
        let size = disk.files[number].bytes.count
        let growth = max(0, Int(offset) + min(bytes.count, longestWrite) - size)
        let result = try begin(
            Call(kind: .write, name: name(file), offset: offset, count: bytes.count),
            changes: true,
            takesSpace: growth > 0
        )
        var bytes = bytes.prefix(longestWrite)
        if case .writeHalf(let error) = result {
            bytes = bytes.prefix(bytes.count / 2)
            if bytes.isEmpty { throw error }
        } else if case .short = result {
            bytes = bytes.prefix((bytes.count + 1) / 2)
        } else if growth > 0, capacity < .max, growth > freeBytes {
            bytes = bytes.prefix(max(0, bytes.count - (growth - freeBytes)))
            if bytes.isEmpty { throw FileSystemError(.noSpace, "the disk is full") }
        }
        disk.write(bytes, to: number, at: Int(offset))
        try end(result)
        return bytes.count
    }

    package func sync(_ file: OpenFile) throws(FileSystemError) {
        let number = try self.file(file)
        // A system may report the success of a later sync although the earlier writes were lost.
        if descriptors[Int(file.rawValue)].hasFailedSync {
            misuse = "\(name(file)) was synced again after a failed sync"
        }
        let result: CallEffect
        do throws(FileSystemError) {
            result = try begin(Call(kind: .sync, name: name(file)), changes: true)
        } catch {
            descriptors[Int(file.rawValue)].hasFailedSync = true
            if hasPower { disk.failSync(number, keepsContent: fault?.cacheKeepsContent ?? true) }
            if hasPower, keepsSnapshots { snapshots.append(disk) }
            throw error
        }
        disk.sync(number)
        if case .performThenFail = result { descriptors[Int(file.rawValue)].hasFailedSync = true }
        try end(result)
        if !disk.hasName(number) { throw FileSystemError(.other, "the file was removed while it was open") }
    }

    package func names(in directory: OpenFile) throws(FileSystemError) -> [String] {
        if case .performThenFail(let error) = try begin(Call(kind: .names, name: "")) { throw error }
        return disk.names.map(\.name)
    }

    package func unlink(_ name: String, in directory: OpenFile) throws(FileSystemError) {
        guard let file = disk.file(name) else {
            if case .performThenFail(let error) = try begin(Call(kind: .unlink, name: name)) { throw error }
            throw FileSystemError(.notFound, "not found")
        }
        let result = try begin(Call(kind: .unlink, name: name), changes: true)
        disk.unlink(name, file)
        try end(result)
    }

    package func syncDirectory(_ directory: OpenFile) throws(FileSystemError) {
        let result = try begin(Call(kind: .syncDirectory, name: ""), changes: true)
        disk.syncNames()
        try end(result)
    }
}

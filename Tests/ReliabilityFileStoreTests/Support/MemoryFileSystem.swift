import ReliabilityCore
import ReliabilityFileStore

/// A directory in memory that tracks synced content, can fail on demand and can lose its power.
final class MemoryFileSystem: FileSystem {
    final class Node: @unchecked Sendable {
        // @unchecked Sendable: protected by the lock of its file system.
        var bytes: [UInt8] = []
        var synced: [UInt8] = []
        init(_ bytes: [UInt8] = []) {
            self.bytes = bytes
            synced = bytes
        }
    }

    enum NameChange {
        case create(String, Node)
        case unlink(String)

        func apply(to names: inout [String: Node]) {
            switch self {
            case .create(let name, let node): names[name] = node
            case .unlink(let name): names[name] = nil
            }
        }
    }

    struct State {
        var names: [String: Node] = [:]
        var syncedNames: [String: Node] = [:]
        var unsyncedNames: [NameChange] = []
        var open: [Int32: Node] = [:]
        var lockedBy: OpenFile?
        var readers: Set<OpenFile> = []
        var nextDescriptor: Int32 = 10
        var process: Int32 = 1

        // Calls.
        var calls = 0
        var fileSyncs = 0

        // Faults.
        var failFromCall: Int?
        var syncFailure: FileSystemError?
        /// The number of failing syncs, or `nil` for all.
        var syncFailures: Int?
        /// A Boolean value that indicates whether only syncs and creations of checkpoint files fail.
        var onlyCheckpoints = false
        /// A Boolean value that indicates whether only creations of segments fail.
        var onlySegments = false
        var createFailure: FileSystemError?
        var freeBytes: Int?
        var longestWrite = Int.max
        var longestRead = Int.max
        /// A closure that every read calls first.
        var onRead: (@Sendable () -> Void)?
        var holdsSyncs = false
        var heldSyncs = 0
        var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state: Lock<State>
    private let monitor = ThreadMonitor()

    init(_ files: [String: [UInt8]] = [:]) {
        let names = files.mapValues { Node($0) }
        state = Lock(State(names: names, syncedNames: names))
    }

    func set(_ change: @Sendable (inout State) -> Void) { state.withLock { change(&$0) } }

    var calls: Int { state.withLock { $0.calls } }
    var fileSyncs: Int { state.withLock { $0.fileSyncs } }
    var openCount: Int { state.withLock { $0.open.count } }

    /// The files as another process reads them.
    var files: [String: [UInt8]] { state.withLock { $0.names.mapValues(\.bytes) } }

    /// The name of the newest segment.
    var log: String { files.keys.filter { $0.hasPrefix("log-") }.max() ?? "" }

    /// The size of all segments and checkpoint files.
    var contentSize: Int {
        files.filter { $0.key.hasPrefix("log-") || $0.key.hasPrefix("checkpoint-") }.reduce(0) { $0 + $1.value.count }
    }

    // MARK: Loss of power

    /// The files after a loss of power that keeps only synced content.
    var syncedFiles: [String: [UInt8]] { state.withLock { $0.syncedNames.mapValues(\.synced) } }

    /// Returns the files after a loss of power that keeps each unsynced sector and name at random.
    func tornFiles(using generator: inout some RandomNumberGenerator) -> [String: [UInt8]] {
        var random = generator
        defer { generator = random }
        let (names, changes, contents) = state.withLock { state in
            let nodes = Array(state.names.values) + Array(state.syncedNames.values)
            return (
                state.syncedNames, state.unsyncedNames,
                Dictionary(nodes.map { (ObjectIdentifier($0), ($0.bytes, $0.synced)) }) { first, _ in first }
            )
        }
        var result = names
        for change in changes where Bool.random(using: &random) { change.apply(to: &result) }
        var files: [String: [UInt8]] = [:]
        for (name, node) in result.sorted(by: { $0.key < $1.key }) {
            let (bytes, synced) = contents[ObjectIdentifier(node)] ?? (node.synced, node.synced)
            var torn = synced
            if bytes.count > torn.count, Bool.random(using: &random) {
                torn += [UInt8](repeating: 0, count: bytes.count - torn.count)
            }
            for start in stride(from: 0, to: min(bytes.count, torn.count), by: 512) where Bool.random(using: &random) {
                let end = min(start + 512, bytes.count, torn.count)
                torn.replaceSubrange(start..<end, with: bytes[start..<end])
            }
            files[name] = torn
        }
        return files
    }

    // MARK: Holding syncs

    /// Makes every sync of a segment wait from now on.
    func holdSyncs() { set { $0.holdsSyncs = true } }

    /// Resumes the held syncs and lets all later syncs pass.
    func releaseSyncs() {
        monitor.lock()
        state.withLock { $0.holdsSyncs = false }
        monitor.signal()
        monitor.unlock()
    }

    /// Suspends until `count` syncs were held.
    func untilHeldSyncs(_ count: Int) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isThere = state.withLock { state in
                if state.heldSyncs >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    private func holdSync(of file: OpenFile) {
        let (isHeld, woken) = state.withLock { state -> (Bool, [CheckedContinuation<Void, Never>]) in
            guard state.holdsSyncs, Self.name(file, state).hasPrefix("log-") else { return (false, []) }
            state.heldSyncs += 1
            let held = state.heldSyncs
            let woken = state.watchers.filter { $0.count <= held }.map(\.continuation)
            state.watchers.removeAll { $0.count <= held }
            return (true, woken)
        }
        for continuation in woken { continuation.resume() }
        guard isHeld else { return }
        monitor.lock()
        while state.withLock({ $0.holdsSyncs }) { monitor.wait(nanoseconds: nil) }
        monitor.unlock()
    }

    // MARK: FileSystem

    /// Counts a call that changes something, and throws if the call has to fail.
    private static func call(_ state: inout State) throws(FileSystemError) {
        state.calls += 1
        if let from = state.failFromCall, state.calls >= from { throw FileSystemError(.other, "no power") }
    }

    private static func open(_ node: Node, _ state: inout State) -> OpenFile {
        state.nextDescriptor += 1
        state.open[state.nextDescriptor] = node
        return OpenFile(rawValue: state.nextDescriptor)
    }

    private static func node(_ file: OpenFile, _ state: State) throws(FileSystemError) -> Node {
        guard let node = state.open[file.rawValue] else { throw FileSystemError(.other, "not open") }
        return node
    }

    private static func name(_ file: OpenFile, _ state: State) -> String {
        state.names.first { $0.value === state.open[file.rawValue] }?.key ?? ""
    }

    var processIdentifier: Int32 { state.withLock { $0.process } }

    func randomNumber() -> UInt64 { .random(in: .min ... .max) }

    func openDirectory(_ path: String) throws(FileSystemError) -> OpenFile {
        state.withLock { state in
            state.nextDescriptor += 1
            return OpenFile(rawValue: state.nextDescriptor)
        }
    }

    func openDirectoryToRead(_ path: String) throws(FileSystemError) -> OpenFile { try openDirectory(path) }

    func lockShared(_ directory: OpenFile) throws(FileSystemError) {
        try state.withLock { state throws(FileSystemError) in
            if state.lockedBy != nil { throw FileSystemError(.locked, "locked") }
            state.readers.insert(directory)
        }
    }

    func lock(_ directory: OpenFile) throws(FileSystemError) {
        try state.withLock { state throws(FileSystemError) in
            if state.lockedBy != nil || !state.readers.isEmpty { throw FileSystemError(.locked, "locked") }
            state.lockedBy = directory
        }
    }

    func openOrCreateFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        try state.withLock { state throws(FileSystemError) in
            let node = state.names[name] ?? Node()
            if state.names[name] == nil {
                try Self.call(&state)
                state.names[name] = node
                state.unsyncedNames.append(.create(name, node))
            }
            return Self.open(node, &state)
        }
    }

    func createFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        try state.withLock { state throws(FileSystemError) in
            try Self.call(&state)
            if let failure = state.createFailure, !state.onlyCheckpoints || name.hasPrefix("checkpoint-"),
                !state.onlySegments || name.hasPrefix("log-")
            {
                throw failure
            }
            if state.names[name] != nil { throw FileSystemError(.other, "exists") }
            let node = Node()
            state.names[name] = node
            state.unsyncedNames.append(.create(name, node))
            return Self.open(node, &state)
        }
    }

    func openFile(_ name: String, in directory: OpenFile) throws(FileSystemError) -> OpenFile {
        try state.withLock { state throws(FileSystemError) in
            guard let node = state.names[name] else { throw FileSystemError(.notFound, "not found") }
            return Self.open(node, &state)
        }
    }

    func close(_ file: OpenFile) {
        state.withLock { state in
            state.open[file.rawValue] = nil
            if state.lockedBy == file { state.lockedBy = nil }
            state.readers.remove(file)
        }
    }

    func size(of file: OpenFile) throws(FileSystemError) -> Int64 {
        try state.withLock { state throws(FileSystemError) in Int64(try Self.node(file, state).bytes.count) }
    }

    func read(_ file: OpenFile, at offset: Int64, count: Int) throws(FileSystemError) -> [UInt8] {
        state.withLock { $0.onRead }?()
        return try state.withLock { state throws(FileSystemError) in
            let bytes = try Self.node(file, state).bytes
            return Array(bytes.dropFirst(Int(offset)).prefix(min(count, state.longestRead)))
        }
    }

    func write(_ bytes: ArraySlice<UInt8>, to file: OpenFile, at offset: Int64) throws(FileSystemError) -> Int {
        try state.withLock { state throws(FileSystemError) in
            try Self.call(&state)
            let node = try Self.node(file, state)
            var bytes = bytes.prefix(state.longestWrite)
            if let free = state.freeBytes {
                let room = max(0, node.bytes.count + free - Int(offset))
                if room == 0 { throw FileSystemError(.noSpace, "no space") }
                bytes = bytes.prefix(room)
            }
            let end = Int(offset) + bytes.count
            let growth = max(0, end - node.bytes.count)
            state.freeBytes? -= growth
            node.bytes += [UInt8](repeating: 0, count: growth)
            node.bytes.replaceSubrange(Int(offset)..<end, with: bytes)
            return bytes.count
        }
    }

    func sync(_ file: OpenFile) throws(FileSystemError) {
        holdSync(of: file)
        try state.withLock { state throws(FileSystemError) in
            try Self.call(&state)
            if Self.name(file, state).hasPrefix("log-") { state.fileSyncs += 1 }
            let node = try Self.node(file, state)
            let isCheckpoint = Self.name(file, state).hasPrefix("checkpoint-")
            if let failure = state.syncFailure, isCheckpoint || !state.onlyCheckpoints {
                state.syncFailures? -= 1
                if state.syncFailures == 0 { state.syncFailure = nil }
                throw failure
            }
            node.synced = node.bytes
        }
    }

    func names(in directory: OpenFile) throws(FileSystemError) -> [String] { state.withLock { Array($0.names.keys) } }

    func unlink(_ name: String, in directory: OpenFile) throws(FileSystemError) {
        try state.withLock { state throws(FileSystemError) in
            guard let node = state.names[name] else { throw FileSystemError(.notFound, "not found") }
            try Self.call(&state)
            state.freeBytes? += node.bytes.count
            state.names[name] = nil
            state.unsyncedNames.append(.unlink(name))
        }
    }

    func syncDirectory(_ directory: OpenFile) throws(FileSystemError) {
        try state.withLock { state throws(FileSystemError) in
            try Self.call(&state)
            state.syncedNames = state.names
            state.unsyncedNames = []
        }
    }
}

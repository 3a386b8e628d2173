/// The files of one directory: the content for programs, the durable content, and the changes between both.
///
/// A copy is cheap: bytes are shared until they are written.
package struct SimulatedDisk: Sendable {
    /// The unit that a disk writes as a whole or not at all.
    package static let sectorSize = 512

    package struct File: Sendable {
        /// The content for programs.
        package var bytes: [UInt8] = []
        /// The durable content.
        package var synced: [UInt8] = []
        /// A Boolean value that indicates whether a failed sync left bytes that are neither durable nor waiting for a
        /// sync.
        var hasLostWrites = false
    }

    package struct Name: Hashable, Sendable {
        package var name: String
        package var file: Int
    }

    /// A change that a sync makes durable.
    ///
    /// A disk need not keep the order of the changes.
    package enum Change: Sendable {
        case size(file: Int, Int)
        /// The sector's content after the write, with fewer bytes at the end of the file.
        case sector(file: Int, Int, ArraySlice<UInt8>)
        case create(String, file: Int)
        case unlink(String, file: Int)

        package var isName: Bool {
            switch self {
            case .size, .sector: false
            case .create, .unlink: true
            }
        }

        var file: Int {
            switch self {
            case .size(let file, _), .sector(let file, _, _), .create(_, let file),
                .unlink(_, let file):
                file
            }
        }
    }

    package internal(set) var files: [File] = []
    package internal(set) var names: [Name] = []
    package internal(set) var syncedNames: [Name] = []
    /// The changes that are not durable.
    package internal(set) var changes: [Change] = []
    /// The content of removed files, which may appear where a newer file was extended and not yet written.
    var residue: [UInt8] = []

    package init() {}

    /// Creates a disk with durable files.
    package init(_ files: [String: [UInt8]]) {
        for (name, bytes) in files.sorted(by: { $0.key < $1.key }) {
            names.append(Name(name: name, file: self.files.count))
            self.files.append(File(bytes: bytes, synced: bytes))
        }
        syncedNames = names
    }

    /// Returns the disk without a file.
    package func without(_ name: String) -> SimulatedDisk {
        var disk = self
        disk.names.removeAll { $0.name == name }
        disk.syncedNames.removeAll { $0.name == name }
        disk.changes = []
        return disk
    }

    /// Returns the file that a program finds under a name.
    package func bytes(of name: String) -> [UInt8]? { file(name).map { files[$0].bytes } }

    func file(_ name: String) -> Int? { Self.file(name, names) }

    static func file(_ name: String, _ names: [Name]) -> Int? {
        // There are at most three files.
        for entry in names where entry.name == name { return entry.file }
        return nil
    }

    func hasName(_ file: Int) -> Bool { names.contains { $0.file == file } }

    // MARK: Changes

    mutating func create(_ name: String) -> Int {
        let file = files.count
        files.append(File())
        change(.create(name, file: file))
        return file
    }

    mutating func unlink(_ name: String, _ file: Int) { change(.unlink(name, file: file)) }

    private mutating func change(_ change: Change) {
        Self.apply(change, to: &names)
        changes.append(change)
    }

    static func apply(_ change: Change, to names: inout [Name]) {
        switch change {
        case .create(let name, let file):
            names.removeAll { $0.name == name }
            names.append(Name(name: name, file: file))
        case .unlink(let name, let file):
            names.removeAll { $0 == Name(name: name, file: file) }
        case .size, .sector: break
        }
    }

    mutating func write(_ new: ArraySlice<UInt8>, to file: Int, at offset: Int) {
        let end = offset + new.count
        let oldSize = files[file].bytes.count
        let first = offset / Self.sectorSize
        let last = (end + Self.sectorSize - 1) / Self.sectorSize
        var changed: [Int] = []
        for sector in first..<max(first, last) {
            let start = max(offset, sector * Self.sectorSize)
            let stop = min(end, (sector + 1) * Self.sectorSize)
            let part = new[new.startIndex + start - offset..<new.startIndex + stop - offset]
            // Content that a failed sync left in the page cache becomes durable only when it is written again.
            if files[file].hasLostWrites || !isSame(part, files[file].bytes, at: start) { changed.append(sector) }
        }
        if end > oldSize {
            files[file].bytes.append(contentsOf: repeatElement(0, count: end - oldSize))
            changes.append(.size(file: file, end))
        }
        if changed.isEmpty { return }
        files[file].bytes.replaceSubrange(offset..<end, with: new)
        let size = files[file].bytes.count
        for sector in changed {
            let range = sector * Self.sectorSize..<min(size, (sector + 1) * Self.sectorSize)
            changes.append(.sector(file: file, sector, files[file].bytes[range]))
        }
    }

    /// Returns a Boolean value that indicates whether the file has `part` already, with zeros after its end.
    private func isSame(_ part: ArraySlice<UInt8>, _ bytes: [UInt8], at start: Int) -> Bool {
        let there = max(0, min(part.count, bytes.count - start))
        // Compares by words, because this comparison dominates the running time.
        return unsafe part.withUnsafeBytes { part in
            unsafe bytes.withUnsafeBytes { bytes in
                var position = 0
                while position + 8 <= there {
                    let new = unsafe part.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                    let old = unsafe bytes.loadUnaligned(fromByteOffset: start + position, as: UInt64.self)
                    if new != old { return false }
                    position += 8
                }
                while position < there {
                    if unsafe part[position] != bytes[start + position] { return false }
                    position += 1
                }
                while position + 8 <= part.count {
                    if unsafe part.loadUnaligned(fromByteOffset: position, as: UInt64.self) != 0 { return false }
                    position += 8
                }
                while position < part.count {
                    if unsafe part[position] != 0 { return false }
                    position += 1
                }
                return true
            }
        }
    }

    // MARK: Syncs

    mutating func sync(_ file: Int) {
        if files[file].hasLostWrites {
            for change in changes where change.file == file { apply(change, toSyncedBytesOf: file) }
        } else {
            files[file].synced = files[file].bytes
        }
        forgetChanges(of: file)
    }

    private mutating func apply(_ change: Change, toSyncedBytesOf file: Int) {
        switch change {
        case .size(_, let size):
            let growth = max(0, size - files[file].synced.count)
            files[file].synced.append(contentsOf: repeatElement(0, count: growth))
        case .sector(_, let sector, let bytes):
            let start = sector * Self.sectorSize
            let growth = max(0, start + bytes.count - files[file].synced.count)
            files[file].synced.append(contentsOf: repeatElement(0, count: growth))
            files[file].synced.replaceSubrange(start..<start + bytes.count, with: bytes)
        case .create, .unlink: break
        }
    }

    /// Drops the pending writes of a file, as a system does after an error of the disk.
    ///
    /// - Parameters:
    ///   - file: The file.
    ///   - keepsContent: `true` if programs read the written content and not the durable content.
    mutating func failSync(_ file: Int, keepsContent: Bool) {
        if !keepsContent {
            let size = files[file].bytes.count
            files[file].bytes = files[file].synced
            files[file].bytes.append(contentsOf: repeatElement(0, count: max(0, size - files[file].bytes.count)))
        }
        files[file].hasLostWrites = true
        forgetChanges(of: file)
    }

    mutating func syncNames() {
        syncedNames = names
        changes.removeAll(where: \.isName)
    }

    private mutating func forgetChanges(of file: Int) {
        changes.removeAll { !$0.isName && $0.file == file }
    }
}

/// The files of one directory: as programs see them, as they are on the disk, and every change in between.
///
/// A copy is cheap: bytes are shared until they are written.
package struct SimulatedDisk: Sendable {
    /// What a disk writes whole or not at all.
    package static let sectorSize = 512

    package struct File: Sendable {
        /// What a program reads.
        package var bytes: [UInt8] = []
        /// What is on the disk.
        package var synced: [UInt8] = []
        /// Whether a failed sync left bytes that are neither on the disk nor waiting to be written there.
        var hasLostWrites = false
    }

    package struct Name: Hashable, Sendable {
        package var name: String
        package var file: Int
    }

    /// What a sync would make durable.
    ///
    /// In the order in which it was done, which a disk need not keep.
    package enum Change: Sendable {
        case size(file: Int, Int)
        /// The sector's content after the write; fewer bytes where the file ends.
        case sector(file: Int, Int, ArraySlice<UInt8>)
        case create(String, file: Int)
        case rename(String, String, file: Int)
        case unlink(String, file: Int)

        package var isName: Bool {
            switch self {
            case .size, .sector: false
            case .create, .rename, .unlink: true
            }
        }

        var file: Int {
            switch self {
            case .size(let file, _), .sector(let file, _, _), .create(_, let file), .rename(_, _, let file),
                .unlink(_, let file):
                file
            }
        }
    }

    package internal(set) var files: [File] = []
    package internal(set) var names: [Name] = []
    package internal(set) var syncedNames: [Name] = []
    /// What is not durable.
    package internal(set) var changes: [Change] = []
    /// What a file held that is gone: it may be found where a newer one was extended and not yet written.
    var residue: [UInt8] = []

    package init() {}

    /// A disk with these files, all of them durable.
    package init(_ files: [String: [UInt8]]) {
        for (name, bytes) in files.sorted(by: { $0.key < $1.key }) {
            names.append(Name(name: name, file: self.files.count))
            self.files.append(File(bytes: bytes, synced: bytes))
        }
        syncedNames = names
    }

    /// The disk without a file, as if somebody had removed it.
    package func without(_ name: String) -> SimulatedDisk {
        var disk = self
        disk.names.removeAll { $0.name == name }
        disk.syncedNames.removeAll { $0.name == name }
        disk.changes = []
        return disk
    }

    /// The file that a program finds under a name.
    package func bytes(of name: String) -> [UInt8]? { file(name).map { files[$0].bytes } }

    func file(_ name: String) -> Int? { Self.file(name, names) }

    static func file(_ name: String, _ names: [Name]) -> Int? {
        // There are three at most.
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

    mutating func rename(_ name: String, to newName: String, _ file: Int) {
        change(.rename(name, newName, file: file))
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
        case .rename(let old, let new, let file):
            // The file itself gets the name, whatever else became of the old one.
            names.removeAll { $0 == Name(name: old, file: file) || $0.name == new }
            names.append(Name(name: new, file: file))
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
            // What a failed sync left in the system's memory gets to the disk only when it is written again.
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

    /// Whether `part` is there already; behind the end there are zeros.
    private func isSame(_ part: ArraySlice<UInt8>, _ bytes: [UInt8], at start: Int) -> Bool {
        let there = max(0, min(part.count, bytes.count - start))
        // By the word: this is where the time goes.
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
        case .create, .rename, .unlink: break
        }
    }

    /// Forgets that the file was written, as a system does when the disk reported an error.
    ///
    /// - Parameters:
    ///   - file: The file.
    ///   - keepsContent: Whether programs read what was written, or what is on the disk.
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

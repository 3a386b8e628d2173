internal import ReliabilityCore
internal import ReliabilityStore

/// A directory in which a new store with content is being written.
///
/// LOCK names the last segment before any other file exists, and the last segment is written after everything else is
/// durable. An opening of an incomplete directory therefore finds that a file is missing.
struct NewStoreDirectory {
    let directory: StoreDirectory
    /// The random number of the new store.
    let store: UInt64
    private let number: UInt64

    /// Creates a directory, or takes an empty directory.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - number: The number of the last segment.
    ///   - fileSystem: The file system with the directory.
    /// - Throws: `StoreError`. The reason is `invalid` if the directory has files or is in the directory of an open
    ///   store.
    init(_ path: String, lastSegment number: UInt64, _ fileSystem: any FileSystem) throws(StoreError) {
        do throws(StoreError) {
            try Self.checkParent(of: path, fileSystem)
            directory = try StoreDirectory(newAt: path, fileSystem)
        } catch {
            throw error.at(path)
        }
        store = fileSystem.randomNumber()
        self.number = number
        do throws(FileSystemError) {
            try directory.recordOwner()
            try directory.writeMark(number)
            // Segments without LOCK would count as a store.
            try directory.sync()
        } catch {
            remove()
            throw StoreError(error).at(path)
        }
    }

    /// Rejects a directory in the directory of an open store.
    private static func checkParent(of path: String, _ fileSystem: any FileSystem) throws(StoreError) {
        guard let parent = try? fileSystem.openDirectoryToRead(parentDirectory(of: path)) else { return }
        defer { fileSystem.close(parent) }
        do throws(FileSystemError) { try fileSystem.lockShared(parent) } catch {
            guard error.kind == .locked else { return }
            throw StoreError(.invalid, "the directory is inside the directory of an open store")
        }
    }

    /// Writes the last segment and closes the directory.
    ///
    /// The content of all other files must be synced. Their names need not be: a missing file is detected.
    ///
    /// - Parameters:
    ///   - manifest: The ranges of the content.
    ///   - previous: The end of the previous segment, or `nil` if there is none.
    ///   - position: The clock and the next version of the new store.
    /// - Throws: The error of a call to the file system.
    func finish(
        _ manifest: Manifest,
        after previous: SegmentEnd?,
        _ position: LogPosition
    ) throws(FileSystemError) {
        var file = try directory.create(.segment, number, of: store, after: previous)
        defer { file.close() }
        try file.write(FrameBuilder(manifest), .manifest, position)
        try file.write(FrameBuilder(), .seal, position)
        try file.finish(zerosTo: 0)
        directory.close()
    }

    /// Removes all files and closes the directory.
    func remove() {
        defer { directory.close() }
        guard let names = try? directory.names() else { return }
        let numbered = names.filter {
            LogFormat.number(.segment, inName: $0) != nil || LogFormat.number(.checkpoint, inName: $0) != nil
        }
        // Without LOCK, a part of the segments would count as a store. LOCK is therefore the last file.
        do throws(FileSystemError) {
            for name in numbered { try directory.remove(name) }
            try directory.sync()
            try directory.remove(LogFormat.lockName)
        } catch {}
    }
}

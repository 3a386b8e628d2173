internal import ReliabilityStore

/// Writes checkpoint files with content that does not change meanwhile.
struct ContentWriter {
    /// A part of the content, and the place of the next part or `nil` at the end.
    typealias Slice = (mutations: [StoreMutation], next: ContentKey?)

    private let directory: StoreDirectory
    private let store: UInt64
    private let firstSegment: UInt64
    private let checkpointSize: Int64

    /// Creates a writer.
    ///
    /// - Parameters:
    ///   - directory: The directory.
    ///   - store: The random number of the store.
    ///   - firstSegment: The number of the first segment after the checkpoints.
    ///   - checkpointSize: The size in bytes at which a checkpoint file is complete.
    init(_ directory: StoreDirectory, of store: UInt64, firstSegment: UInt64, checkpointSize: Int64) {
        self.directory = directory
        self.store = store
        self.firstSegment = firstSegment
        self.checkpointSize = checkpointSize
    }

    /// Writes a checkpoint file with the content from a place on and makes the file durable.
    func write(
        from start: ContentKey,
        number: UInt64,
        _ position: LogPosition,
        _ slice: (ContentKey) -> Slice
    ) throws(FileSystemError) -> Checkpoint {
        var file = try directory.create(.checkpoint, number, of: store)
        var cursor: ContentKey? = start
        do throws(FileSystemError) {
            repeat {
                guard let place = cursor else { break }
                let part = slice(place)
                var frame = FrameBuilder()
                for mutation in part.mutations { frame.append(mutation) }
                try file.write(frame, .mutations, position)
                cursor = part.next
            } while file.layout.end < checkpointSize
            try file.write(FrameBuilder(), .seal, position)
            try file.finish(zerosTo: 0)
        } catch {
            file.remove()
            throw error
        }
        file.close()
        let range = CheckpointRange(
            start: start,
            number: number,
            salt: file.id.salt,
            size: file.layout.end,
            firstSegment: firstSegment
        )
        return Checkpoint(range, end: cursor)
    }
}

extension NewStoreDirectory {
    /// Writes a new store with content that does not change meanwhile.
    ///
    /// - Parameters:
    ///   - path: A directory that does not exist or is empty.
    ///   - position: The clock and the next version of the new store.
    ///   - fileSystem: The file system with the directory.
    ///   - check: A closure that throws an error to end the call.
    ///   - slice: A closure that returns the content from a place on.
    /// - Throws: `StoreError`. The directory then has no files, or does not open as a store.
    static func write(
        to path: String,
        _ position: LogPosition,
        _ fileSystem: any FileSystem,
        _ check: () throws(StoreError) -> Void,
        _ slice: (ContentKey) -> ContentWriter.Slice
    ) throws(StoreError) {
        let new = try NewStoreDirectory(path, lastSegment: 1, fileSystem)
        do throws(StoreError) {
            let content = ContentWriter(new.directory, of: new.store, firstSegment: 1, checkpointSize: 4 << 20)
            var manifest = Manifest(firstSegment: 1)
            var number: UInt64 = 2
            var cursor: ContentKey? = .start
            while let start = cursor {
                do throws(FileSystemError) {
                    let checkpoint = try content.write(from: start, number: number, position, slice)
                    manifest.install(checkpoint)
                    cursor = checkpoint.end
                } catch {
                    throw StoreError(error).at(path)
                }
                number += 1
                try check()
            }
            do throws(FileSystemError) { try new.finish(manifest, after: nil, position) } catch {
                throw StoreError(error).at(path)
            }
        } catch {
            new.remove()
            throw error
        }
    }
}

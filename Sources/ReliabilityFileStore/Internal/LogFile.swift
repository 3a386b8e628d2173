/// The offsets of the parts of a segment.
package struct LogLayout: Hashable, Sendable {
    /// The offset of the next frame.
    var end: Int64
    /// The end of the durable zeros.
    var reservedEnd: Int64
}

/// A segment or a checkpoint file that is open for writing.
///
/// Only one thread at a time may use a file.
package struct LogFile: Sendable {
    let id: SegmentID
    private let kind: FileHeader.Kind
    private let store: UInt64
    private let previous: SegmentEnd?
    private let fileSystem: any FileSystem
    private let directory: OpenFile
    private let file: OpenFile
    private var frames: UInt64 = 0
    private(set) var layout = LogLayout(end: Int64(LogFormat.sectorSize), reservedEnd: Int64(LogFormat.sectorSize))

    /// Creates a file without a header.
    init(
        creating kind: FileHeader.Kind,
        _ number: UInt64,
        of store: UInt64,
        after previous: SegmentEnd? = nil,
        in directory: OpenFile,
        _ fileSystem: any FileSystem
    ) throws(FileSystemError) {
        id = SegmentID(number: number, salt: fileSystem.randomNumber())
        self.kind = kind
        self.store = store
        self.previous = previous
        self.fileSystem = fileSystem
        self.directory = directory
        file = try fileSystem.createFile(LogFormat.name(kind, number), in: directory)
    }

    var name: String { LogFormat.name(kind, id.number) }

    /// Writes a frame without a sync.
    mutating func write(
        _ frame: FrameBuilder,
        _ kind: FrameHeader.Kind,
        _ position: LogPosition
    ) throws(FileSystemError) {
        let bytes = frame.finish(
            kind,
            salt: id.salt,
            offset: layout.end,
            number: frames,
            position: position,
            reservedEnd: layout.reservedEnd
        )
        try fileSystem.writeAll(bytes, to: file, at: layout.end)
        layout.end += Int64(bytes.count)
        frames += 1
    }

    /// Writes a frame over durable zeros and makes the frame durable.
    mutating func append(
        _ frame: FrameBuilder,
        _ kind: FrameHeader.Kind,
        _ position: LogPosition
    ) throws(FileSystemError) {
        // The state machine ensures this condition. Otherwise a frame that a crash cut off would look like damage.
        if frame.payloadCount > LogFormat.maxPayload || layout.end + Int64(frame.frameSize) > layout.reservedEnd {
            throw FileSystemError(.other, "a frame of \(frame.frameSize) bytes does not fit in the segment")
        }
        try write(frame, kind, position)
        try sync()
    }

    /// Writes zeros up to `end` and the header, and makes the file and its name durable.
    ///
    /// Everything that was written before belongs to the floor.
    mutating func finish(zerosTo end: Int64) throws(FileSystemError) {
        let floor = layout.end
        var offset = floor
        while offset < end {
            let count = min(end - offset, Int64(zeros.count))
            try fileSystem.writeAll(Array(zeros.prefix(Int(count))), to: file, at: offset)
            offset += count
        }
        layout.reservedEnd = max(floor, end)
        // A file with a header is complete.
        try sync()
        let header = FileHeader(
            kind,
            salt: id.salt,
            floor: floor,
            reservedEnd: layout.reservedEnd,
            store: store,
            number: id.number,
            previous: previous
        )
        try fileSystem.writeAll(header.encoded, to: file, at: 0)
        try sync()
        try fileSystem.syncDirectory(directory)
    }

    /// Makes all written bytes durable.
    func sync() throws(FileSystemError) {
        do throws(FileSystemError) {
            try fileSystem.sync(file)
        } catch {
            // A failed sync is never retried, even on a full disk. The kind `other` prevents a retry.
            throw FileSystemError(.other, error.explanation)
        }
    }

    func close() { fileSystem.close(file) }

    /// Closes and removes a file that is not in use.
    ///
    /// If the removal fails, the next opening removes the file.
    func remove() {
        close()
        try? fileSystem.unlink(name, in: directory)
    }
}

private let zeros = [UInt8](repeating: 0, count: 64 << 10)

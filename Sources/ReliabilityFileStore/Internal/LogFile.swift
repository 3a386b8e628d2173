internal import ReliabilityStore

/// The offsets of the parts of a log.
package struct LogLayout: Hashable, Sendable {
    /// The end of the bytes that were durable before the file got its name.
    var floor: Int64
    /// The offset of the next frame.
    var end: Int64
    /// The end of the durable zeros.
    var reservedEnd: Int64
}

/// A log that is open for writing.
///
/// Only one thread at a time may use a log file.
struct LogFile {
    private let fileSystem: any FileSystem
    private let directory: OpenFile
    private let file: OpenFile
    private let salt: UInt64
    private var frames: UInt64 = 0
    private(set) var layout = LogLayout(floor: 0, end: Int64(LogFormat.sectorSize), reservedEnd: 0)

    /// Writes a new log next to the log in use and makes the new log durable.
    ///
    /// The store is unchanged until ``install()``.
    init(
        snapshot: [StoreMutation],
        position: LogPosition,
        growth: Int64,
        in directory: OpenFile,
        of fileSystem: any FileSystem
    ) throws(FileSystemError) {
        self.fileSystem = fileSystem
        self.directory = directory
        salt = fileSystem.randomNumber()
        do throws(FileSystemError) {
            try fileSystem.unlink(LogFormat.temporaryName, in: directory)
        } catch  where error.kind == .notFound {
            // The usual case: no earlier attempt left a file.
        }
        file = try fileSystem.createFile(LogFormat.temporaryName, in: directory)
        do throws(FileSystemError) {
            try write(snapshot, position)
            layout.floor = layout.end
            layout.reservedEnd = layout.end
            try writeZeros(to: layout.end + growth)
            layout.reservedEnd = layout.end + growth
            let header = FileHeader(salt: salt, floor: layout.floor, reservedEnd: layout.reservedEnd)
            try fileSystem.writeAll(header.encoded, to: file, at: 0)
            try sync()
        } catch {
            fileSystem.close(file)
            // Frees the disk space. If this call fails, the next attempt removes the file.
            try? fileSystem.unlink(LogFormat.temporaryName, in: directory)
            throw error
        }
    }

    private mutating func write(_ snapshot: [StoreMutation], _ position: LogPosition) throws(FileSystemError) {
        var frame = FrameBuilder()
        for mutation in snapshot {
            frame.append(mutation)
            if frame.payloadCount >= 1 << 20 {
                try write(frame, .mutations, position)
                frame = FrameBuilder()
            }
        }
        // At least one frame, because a frame also records the clock and the next version.
        try write(frame, .mutations, position)
    }

    /// Replaces the old log with this log.
    ///
    /// If this method throws, a crash can leave either of the two logs.
    func install() throws(FileSystemError) {
        do throws(FileSystemError) {
            try fileSystem.rename(LogFormat.temporaryName, to: LogFormat.fileName, in: directory)
            try fileSystem.syncDirectory(directory)
        } catch {
            throw FileSystemError(.other, error.explanation)
        }
    }

    /// Appends a frame and makes the frame durable.
    mutating func append(
        _ frame: FrameBuilder,
        _ kind: FrameHeader.Kind,
        _ position: LogPosition
    ) throws(FileSystemError) {
        // The state machine ensures this condition. Otherwise a frame that a crash cut off would look like damage.
        if frame.payloadCount > LogFormat.maxPayload || layout.end + Int64(frame.frameSize) > layout.reservedEnd {
            throw FileSystemError(.other, "a frame of \(frame.frameSize) bytes does not fit in the log")
        }
        try write(frame, kind, position)
        try sync()
    }

    private mutating func write(
        _ frame: FrameBuilder,
        _ kind: FrameHeader.Kind,
        _ position: LogPosition
    ) throws(FileSystemError) {
        let bytes = frame.finish(
            kind,
            salt: salt,
            offset: layout.end,
            number: frames,
            position: position,
            reservedEnd: layout.reservedEnd
        )
        try fileSystem.writeAll(bytes, to: file, at: layout.end)
        layout.end += Int64(bytes.count)
        frames += 1
    }

    /// Extends the durable zeros to `target` or at least to `needed` if the disk is full.
    mutating func extend(to target: Int64, needed: Int64) throws(FileSystemError) {
        var reached = layout.reservedEnd
        do throws(FileSystemError) {
            try writeZeros(to: target)
            reached = target
        } catch  where error.kind == .noSpace {
            // Some zeros may have been written. They count only if they reach `needed`.
            let size = try fileSystem.size(of: file)
            reached = min(size, target) / Int64(LogFormat.sectorSize) * Int64(LogFormat.sectorSize)
            if reached < needed {
                // A crash could leave any content in zeros that are not synced. A reader would report such content as
                // damage after the seal or after a frame that was cut off.
                try sync()
                throw error
            }
        }
        try sync()
        layout.reservedEnd = reached
    }

    /// Writes zeros from the end of the reserved space to `target`.
    private func writeZeros(to target: Int64) throws(FileSystemError) {
        var offset = layout.reservedEnd
        while offset < target {
            let count = min(target - offset, Int64(zeros.count))
            try fileSystem.writeAll(Array(zeros.prefix(Int(count))), to: file, at: offset)
            offset += count
        }
    }

    private func sync() throws(FileSystemError) {
        do throws(FileSystemError) {
            try fileSystem.sync(file)
        } catch {
            // A failed sync is never retried, even on a full disk. The kind `other` prevents a retry.
            throw FileSystemError(.other, error.explanation)
        }
    }

    func close() { fileSystem.close(file) }
}

private let zeros = [UInt8](repeating: 0, count: 64 << 10)

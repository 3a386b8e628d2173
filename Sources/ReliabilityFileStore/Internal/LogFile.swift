internal import ReliabilityStore

/// Where the log's parts end.
package struct LogLayout: Hashable, Sendable {
    /// Everything before this was durable before the file got its name.
    var floor: Int64
    /// Where the next frame goes.
    var end: Int64
    /// How far the file is filled with zeros that are durable.
    var reservedEnd: Int64
}

/// A log that is open to be written: the calls to the file system, and nothing that decides when.
///
/// One thread at a time uses it.
struct LogFile {
    private let fileSystem: any FileSystem
    private let directory: OpenFile
    private let file: OpenFile
    private let salt: UInt64
    private var frames: UInt64 = 0
    private(set) var layout = LogLayout(floor: 0, end: Int64(LogFormat.sectorSize), reservedEnd: 0)

    /// Writes a new log beside the one that is in use, and makes it durable.
    ///
    /// Until ``install()``, nothing has happened to the store.
    init(
        snapshot: [StoreMutation],
        moment: LogMoment,
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
            // As it should be: nothing was left by an attempt before.
        }
        file = try fileSystem.createFile(LogFormat.temporaryName, in: directory)
        do throws(FileSystemError) {
            try write(snapshot, moment)
            layout.floor = layout.end
            layout.reservedEnd = layout.end
            layout.reservedEnd = try writeZeros(to: layout.end + growth)
            let header = FileHeader(salt: salt, floor: layout.floor, reservedEnd: layout.reservedEnd)
            try fileSystem.writeAll(header.encoded, to: file, at: 0)
            try sync()
        } catch {
            fileSystem.close(file)
            // The disk gets back what the attempt took; where this fails, the next attempt does it.
            try? fileSystem.unlink(LogFormat.temporaryName, in: directory)
            throw error
        }
    }

    private mutating func write(_ snapshot: [StoreMutation], _ moment: LogMoment) throws(FileSystemError) {
        var frame = FrameBuilder()
        for mutation in snapshot {
            frame.append(mutation)
            if frame.payloadCount >= 1 << 20 {
                try write(frame, .mutations, moment)
                frame = FrameBuilder()
            }
        }
        // At least one, for what there is to remember besides the content.
        try write(frame, .mutations, moment)
    }

    /// Puts the new log in the place of the old one.
    ///
    /// When this fails, nobody knows which of the two a crash would leave.
    func install() throws(FileSystemError) {
        do throws(FileSystemError) {
            try fileSystem.rename(LogFormat.temporaryName, to: LogFormat.fileName, in: directory)
            try fileSystem.syncDirectory(directory)
        } catch {
            throw FileSystemError(.other, error.explanation)
        }
    }

    /// Writes a frame at the end, and makes it durable.
    mutating func append(
        _ frame: FrameBuilder,
        _ kind: FrameHeader.Kind,
        _ moment: LogMoment
    ) throws(FileSystemError) {
        // The core has seen to this. If it had not, a frame cut off by a crash could not be told from damage.
        if frame.payloadCount > LogFormat.maximumPayload || layout.end + Int64(frame.frameSize) > layout.reservedEnd {
            throw FileSystemError(.other, "a frame does not fit in the log")
        }
        try write(frame, kind, moment)
        try sync()
    }

    private mutating func write(
        _ frame: FrameBuilder,
        _ kind: FrameHeader.Kind,
        _ moment: LogMoment
    ) throws(FileSystemError) {
        let bytes = frame.finish(
            kind,
            salt: salt,
            offset: layout.end,
            number: frames,
            moment: moment,
            reservedEnd: layout.reservedEnd
        )
        try fileSystem.writeAll(bytes, to: file, at: layout.end)
        layout.end += Int64(bytes.count)
        frames += 1
    }

    /// Makes room up to `target`, or at least up to `needed` where the disk has no more.
    mutating func extend(to target: Int64, needed: Int64) throws(FileSystemError) {
        var reached = layout.reservedEnd
        do throws(FileSystemError) {
            reached = try writeZeros(to: target)
        } catch  where error.kind == .noSpace {
            // Some of the zeros may be there; they are only used if they are enough.
            let size = try fileSystem.size(of: file)
            reached = min(size, target) / Int64(LogFormat.sectorSize) * Int64(LogFormat.sectorSize)
            if reached < needed {
                // Where the file is longer now, a crash could leave anything. Behind a frame that it cuts off, and behind
                // the seal, that would be taken for damage.
                try sync()
                throw error
            }
        }
        try sync()
        layout.reservedEnd = reached
    }

    private func writeZeros(to target: Int64) throws(FileSystemError) -> Int64 {
        var offset = layout.reservedEnd
        while offset < target {
            let count = min(target - offset, Int64(zeros.count))
            try fileSystem.writeAll(Array(zeros.prefix(Int(count))), to: file, at: offset)
            offset += count
        }
        return target
    }

    private func sync() throws(FileSystemError) {
        do throws(FileSystemError) {
            try fileSystem.sync(file)
        } catch {
            // Nothing that went wrong here can be mended by trying again, not even a disk that is full.
            throw FileSystemError(.other, error.explanation)
        }
    }

    func close() { fileSystem.close(file) }
}

private let zeros = [UInt8](repeating: 0, count: 64 << 10)

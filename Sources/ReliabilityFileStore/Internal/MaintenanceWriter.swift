internal import ReliabilityStore

/// Executes the steps of the state machine on files that are not in use.
///
/// Only one thread at a time may use a writer.
package struct MaintenanceWriter: Sendable {
    private let directory: StoreDirectory
    private let store: UInt64
    /// The checkpoint file that is being written.
    private var checkpoint: LogFile?
    /// The next frame of the checkpoint file.
    private var frame = FrameBuilder()
    /// The error of the last attempt to record the segment in use.
    private var markFailure: FileSystemError?

    init(in directory: StoreDirectory, of store: UInt64) {
        self.directory = directory
        self.store = store
    }

    /// Executes a step and returns its result.
    package mutating func perform(_ step: MaintenanceStep) -> MaintenanceResult {
        do throws(FileSystemError) {
            switch step {
            case .prepare(let number, let segment, let size, let replaced, let mayUseReserve):
                replaced?.remove()
                do throws(FileSystemError) {
                    return .prepared(try prepare(number, segment, size))
                } catch  where error.kind == .noSpace && mayUseReserve {
                    try directory.remove(LogFormat.reserveName)
                    return .prepared(try prepare(number, segment, size))
                }
            case .write(let mutations, let number, let position, let isLast):
                return try write(mutations, number, position, isLast: isLast)
            case .remove(let names, let mark):
                try writeMark(mark)
                // A file that cannot be removed is removed by the next opening.
                for name in names { try? directory.remove(name) }
            case .reserve(let size):
                try directory.fillReserve(size)
            case .stop(let prepared):
                prepared?.remove()
                checkpoint?.remove()
                checkpoint = nil
            case .wait: break
            }
            return .done
        } catch {
            return .failed(error.at(directory.path))
        }
    }

    private mutating func writeMark(_ mark: UInt64) throws(FileSystemError) {
        // After a failed sync, the mark on the disk may be old. The segments that an old mark needs then stay.
        if let markFailure { throw markFailure }
        do throws(FileSystemError) {
            try directory.writeMark(mark)
        } catch {
            markFailure = error
            throw error
        }
    }

    private func prepare(_ number: UInt64, _ previous: SegmentID, _ sizes: [Int64]) throws(FileSystemError) -> LogFile {
        for size in sizes.dropLast() {
            do throws(FileSystemError) { return try prepare(number, previous, size) } catch
                where error.kind == .noSpace
            {}
        }
        return try prepare(number, previous, sizes[sizes.count - 1])
    }

    private func prepare(_ number: UInt64, _ previous: SegmentID, _ size: Int64) throws(FileSystemError) -> LogFile {
        var file = try directory.create(.segment, number, of: store, after: SegmentEnd(segment: previous, offset: 0))
        do throws(FileSystemError) {
            try file.finish(zerosTo: size)
            return file
        } catch {
            file.remove()
            throw error
        }
    }

    private mutating func write(
        _ mutations: [StoreMutation],
        _ number: UInt64,
        _ position: LogPosition,
        isLast: Bool
    ) throws(FileSystemError) -> MaintenanceResult {
        for mutation in mutations { frame.append(mutation) }
        do throws(FileSystemError) {
            return try writeFrame(number, position, isLast: isLast)
        } catch {
            // The reserve exists for this case. Its space is enough for one checkpoint file.
            if error.kind == .noSpace, (try? directory.remove(LogFormat.reserveName)) != nil {
                do throws(FileSystemError) { return try writeFrame(number, position, isLast: isLast) } catch {}
            }
            checkpoint?.remove()
            checkpoint = nil
            frame = FrameBuilder()
            throw error
        }
    }

    /// Writes the frame once the frame is large enough or the last.
    ///
    /// After an error, the same call can be repeated.
    private mutating func writeFrame(
        _ number: UInt64,
        _ position: LogPosition,
        isLast: Bool
    ) throws(FileSystemError) -> MaintenanceResult {
        var file: LogFile
        if let checkpoint { file = checkpoint } else { file = try directory.create(.checkpoint, number, of: store) }
        checkpoint = file
        if isLast || frame.payloadCount >= Self.frameLimit {
            try file.write(frame, .mutations, position)
            if !isLast {
                frame = FrameBuilder()
                checkpoint = file
            }
        }
        guard isLast else { return .written(file.layout.end + Int64(frame.payloadCount)) }
        try file.write(FrameBuilder(), .seal, position)
        try file.finish(zerosTo: 0)
        file.close()
        checkpoint = nil
        frame = FrameBuilder()
        return .completed(salt: file.id.salt, size: file.layout.end)
    }

    private static let frameLimit = 64 << 10
}

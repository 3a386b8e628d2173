internal import ReliabilityCore
package import ReliabilityStore

/// Copies the durable files of a store to another directory.
///
/// The store may be in use. Checkpoint files never change, and neither do the durable bytes of a segment.
package struct SnapshotWriter: Sendable {
    private let source: StoreDirectory

    init(_ source: StoreDirectory) { self.source = source }

    /// Writes a snapshot.
    ///
    /// - Parameters:
    ///   - plan: The files. No file may be removed before the end of the call.
    ///   - path: The directory of the snapshot.
    ///   - fileSystem: The file system of the snapshot. Defaults to the file system of the store.
    ///   - check: A closure that throws an error to end the snapshot. The call calls the closure again and again.
    /// - Throws: `StoreError`. The directory of the snapshot then has no files, or does not open as a store.
    package func write(
        _ plan: SnapshotPlan,
        to path: String,
        on fileSystem: (any FileSystem)? = nil,
        _ check: () throws(StoreError) -> Void
    ) throws(StoreError) {
        try check()
        let copy = try NewStoreDirectory(path, lastSegment: plan.number, fileSystem ?? source.fileSystem)
        do throws(StoreError) {
            for range in plan.manifest.ranges where range.number > 0 {
                let file = SourceFile(
                    name: LogFormat.name(.checkpoint, range.number),
                    kind: .checkpoint,
                    id: SegmentID(number: range.number, salt: range.salt)
                )
                // Two ranges can have parts of the same file.
                if plan.manifest.ranges.first(where: { $0.number == range.number }) != range { continue }
                try self.copy(file, try header(file), upTo: range.size, .sealed, to: copy, check)
            }
            try copySegments(plan, to: copy, check)
            do throws(FileSystemError) {
                let last = plan.segments[plan.segments.count - 1].id
                try copy.finish(plan.manifest, after: SegmentEnd(segment: last, offset: plan.end), plan.position)
            } catch {
                throw StoreError(error).at(path)
            }
        } catch {
            copy.remove()
            throw error
        }
    }

    private struct SourceFile {
        let name: String
        let kind: FileHeader.Kind
        let id: SegmentID
    }

    private func header(_ file: SourceFile) throws(StoreError) -> FileHeader {
        do throws(StoreError) {
            return try source.read(file.name) { reader throws(LogReader.Failure) in
                try reader.header { $0.kind == file.kind && $0.number == file.id.number && $0.salt == file.id.salt }
            }
        } catch {
            throw error.at(source.path)
        }
    }

    private func copySegments(
        _ plan: SnapshotPlan,
        to copy: NewStoreDirectory,
        _ check: () throws(StoreError) -> Void
    ) throws(StoreError) {
        let files = plan.segments.map {
            SourceFile(name: LogFormat.name(.segment, $0.id.number), kind: .segment, id: $0.id)
        }
        for (index, file) in files.enumerated() {
            let header = try header(file)
            var extent = LogReader.Extent.upTo(plan.end)
            var end = plan.end
            if index + 1 < files.count {
                let next = files[index + 1]
                let offset = try self.header(next).previous?.offset ?? 0
                extent = offset > 0 ? .upTo(offset) : .rolled(next.id)
                end = offset > 0 ? offset : header.reservedEnd
            }
            try self.copy(file, header, upTo: end, extent, to: copy, check)
        }
    }

    /// Copies a file, checks the frames of the copy and syncs the copy.
    private func copy(
        _ file: SourceFile,
        _ header: FileHeader,
        upTo end: Int64,
        _ extent: LogReader.Extent,
        to copy: NewStoreDirectory,
        _ check: () throws(StoreError) -> Void
    ) throws(StoreError) {
        var newHeader = header
        // Another number makes an opening reject a file of the other store.
        newHeader.store = copy.store
        try source.copy(file.name, newHeader, upTo: end, to: copy.directory, check)
        do throws(StoreError) {
            try copy.directory.read(file.name) { reader throws(LogReader.Failure) in
                _ = try reader.replay(try reader.header { $0 == newHeader }, extent) { _ in }
            }
        } catch {
            throw error.at(source.path, "; the file or its copy is damaged")
        }
        try check()
    }
}

extension StoreDirectory {
    private static let pieceSize: Int64 = 1 << 20

    /// Copies a file with another header and syncs the copy.
    ///
    /// Zeros follow the bytes up to `end`, so that the copy has the reserved size.
    fileprivate func copy(
        _ name: String,
        _ header: FileHeader,
        upTo end: Int64,
        to target: StoreDirectory,
        _ check: () throws(StoreError) -> Void
    ) throws(StoreError) {
        let file = try withStoreErrors { () throws(FileSystemError) in
            try fileSystem.openFile(name, in: directory)
        }
        defer { fileSystem.close(file) }
        let copy = try withStoreErrors { () throws(FileSystemError) in
            try target.fileSystem.createFile(name, in: target.directory)
        }
        defer { target.fileSystem.close(copy) }
        var offset: Int64 = 0
        while offset < max(end, header.reservedEnd) {
            try check()
            let isInFile = offset < end
            let count = Int(min(Self.pieceSize, (isInFile ? end : header.reservedEnd) - offset))
            var bytes = [UInt8](repeating: 0, count: count)
            do throws(FileSystemError) {
                if isInFile { bytes = try fileSystem.readAll(file, at: offset, count: count) }
            } catch {
                throw StoreError(error).at(path)
            }
            guard bytes.count == count, offset > 0 || count >= LogFormat.sectorSize else {
                let end = offset + Int64(bytes.count)
                throw StoreError.damaged(name, end, "\(name) is damaged at offset \(end)").at(path)
            }
            if offset == 0 { bytes.replaceSubrange(0..<LogFormat.sectorSize, with: header.encoded) }
            do throws(FileSystemError) {
                try target.fileSystem.writeAll(bytes, to: copy, at: offset)
            } catch {
                throw StoreError(error).at(target.path)
            }
            offset += Int64(count)
        }
        do throws(FileSystemError) {
            try target.fileSystem.sync(copy)
        } catch {
            throw StoreError(error).at(target.path)
        }
    }
}

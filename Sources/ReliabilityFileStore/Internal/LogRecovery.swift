package import ReliabilityStore

/// The result of an opening for writing.
///
/// The opening reads the files and begins a new segment. The segment has the mutations of the last frame.
package struct LogRecovery {
    package var stateMachine: LogStateMachine
    package var writer: LogWriter
    package var maintenance: MaintenanceWriter
    package let report: RecoveryReport
    package let capabilities: StoreCapabilities
    let directory: StoreDirectory
    /// The start of the store's clock in nanoseconds since 1970.
    package let start: Int64
    /// The files before the opening.
    package let files: StoreFiles

    /// The writer of snapshots.
    package var snapshots: SnapshotWriter { SnapshotWriter(directory) }

    /// Opens and reads the files in a directory and begins a new segment.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - configuration: The limits of the store and the largest accepted jump of the wall clock.
    ///   - fileSystem: The file system with the directory.
    ///   - unixTime: The wall clock in nanoseconds since 1970.
    ///   - tuning: The sizes that only tests change.
    ///   - progress: The progress of the reading, or `nil` for none.
    /// - Throws: `StoreError`.
    package init(
        at path: String,
        configuration: FileStore.Configuration,
        fileSystem: any FileSystem,
        unixTime: Int64,
        tuning: LogTuning,
        progress: ReadProgress? = nil
    ) throws(StoreError) {
        directory = try StoreDirectory(path, fileSystem)
        do throws(StoreError) {
            var recovered = try RecoveredState(directory, configuration, unixTime: unixTime, progress: progress)
            // A second reference to the content would make the first change copy the content.
            var state = recovered.takeState()
            files = recovered.files
            start = recovered.start
            capabilities = recovered.capabilities
            report = recovered.report
            let changes = files.lastFrame + state.endLeases()
            do throws(FileSystemError) {
                // Only here, after the files were read: a rejected opening leaves the files unchanged.
                try directory.recordOwner()
                let beginning = try LogBeginning(
                    directory,
                    files,
                    state,
                    changes,
                    store: fileSystem.randomNumber(),
                    tuning
                )
                let compaction = CompactionStateMachine(
                    beginning.manifest,
                    files.segments + [
                        StoreFiles.Segment(id: beginning.file.id, size: beginning.file.layout.reservedEnd)
                    ],
                    nextNumber: beginning.nextNumber,
                    tuning: tuning
                )
                stateMachine = LogStateMachine(state, compaction, layout: beginning.file.layout, tuning: tuning)
                writer = LogWriter(beginning.file, in: directory)
                maintenance = MaintenanceWriter(in: directory, of: beginning.store)
            } catch {
                throw StoreError(error)
            }
        } catch {
            directory.close()
            throw error
        }
    }
}

/// The first segment of an owner.
private struct LogBeginning {
    let store: UInt64
    private(set) var manifest: Manifest
    private(set) var file: LogFile
    private(set) var nextNumber: UInt64

    /// Creates the segment, and the checkpoint files of a store in format 1.
    ///
    /// - Parameters:
    ///   - directory: The directory.
    ///   - files: The files of the earlier owner.
    ///   - state: The content.
    ///   - changes: The changes that the segment begins with.
    ///   - newStore: The random number of a new store.
    ///   - tuning: The sizes of the files.
    /// - Throws: The error of a call to the file system.
    init(
        _ directory: StoreDirectory,
        _ files: StoreFiles,
        _ state: borrowing StoreStateMachine,
        _ changes: [StoreMutation],
        store newStore: UInt64,
        _ tuning: LogTuning
    ) throws(FileSystemError) {
        let number = files.freeNumber
        store = files.segments.isEmpty ? newStore : files.store
        nextNumber = number + 1
        manifest = files.segments.isEmpty ? Manifest(firstSegment: number) : files.manifest
        let position = LogPosition(clock: state.now, nextVersion: state.nextVersion)
        if files.isNew { try directory.writeNewMark() }
        if files.isFirstFormat {
            let content = ContentWriter(
                directory,
                of: store,
                firstSegment: number,
                checkpointSize: tuning.checkpointSize
            )
            var cursor: ContentKey? = .start
            while let start = cursor {
                let checkpoint = try content.write(from: start, number: nextNumber, position) { place in
                    state.slice(from: place, to: nil, limit: tuning.sliceLimit, maxBytes: 256 << 10)
                }
                manifest.install(checkpoint)
                nextNumber += 1
                cursor = checkpoint.end
            }
        }
        let (store, manifest) = (store, manifest)
        func create(zeros: Int64) throws(FileSystemError) -> LogFile {
            var file = try directory.create(.segment, number, of: store, after: files.end)
            do throws(FileSystemError) {
                try file.write(FrameBuilder(manifest), .manifest, position)
                var frame = FrameBuilder()
                for (index, mutation) in changes.enumerated() {
                    frame.append(mutation)
                    guard frame.payloadCount >= tuning.batchLimit || index == changes.count - 1 else { continue }
                    try file.write(frame, .mutations, position)
                    frame = FrameBuilder()
                }
                try file.finish(zerosTo: file.layout.end + zeros)
                return file
            } catch {
                file.remove()
                throw error
            }
        }
        let smallest = Int64(LogFormat.tailReserve)
        do throws(FileSystemError) {
            file = try create(zeros: smallest + tuning.growth)
        } catch  where error.kind == .noSpace {
            // The reserve exists for this case.
            try directory.remove(LogFormat.reserveName)
            file = try create(zeros: smallest)
        }
        do throws(FileSystemError) {
            try directory.writeMark(number)
            for name in files.unneededNames { try directory.remove(name) }
            // A log in format 1 must not return after a crash, because without LOCK it would count as the content.
            if files.names.contains(LogFormat.firstFormatName) { try directory.sync() }
        } catch {
            file.close()
            throw error
        }
    }
}

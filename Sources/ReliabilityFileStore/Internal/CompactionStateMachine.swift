internal import ReliabilityCore
package import ReliabilityStore

/// A step of the maintenance of a store's files, beside the writes to the log.
package enum MaintenanceStep: Sendable {
    case wait
    /// Creates the next segment and removes a prepared segment that is too small.
    ///
    /// The segment has the first of the sizes for which the disk has space.
    case prepare(number: UInt64, after: SegmentID, sizes: [Int64], replacing: LogFile?, mayUseReserve: Bool)
    /// Adds content to a checkpoint file, which is created with the first content and completed with the last.
    case write([StoreMutation], number: UInt64, LogPosition, isLast: Bool)
    /// Removes files after the segment with the number `mark` is recorded as being in use.
    case remove([String], mark: UInt64)
    /// Sets the size of the reserve.
    case reserve(Int64)
    /// Closes all files that are not in use. No step follows.
    case stop(LogFile?)
}

/// The result of a maintenance step.
package enum MaintenanceResult: Sendable {
    case done
    case prepared(LogFile)
    /// The content was added, and the file has this size.
    case written(Int64)
    /// The checkpoint file is complete and durable.
    case completed(salt: UInt64, size: Int64)
    /// The step failed. No file in use has changed.
    case failed(FileSystemError)
}

/// The part of the log's state machine that plans segments, checkpoints and removals.
///
/// A compaction passes over the content in order and writes checkpoint files. The checkpoints make older segments
/// unneeded. A checkpoint becomes valid by its frame in the log. The frame follows every change that the checkpoint
/// contains. The changes of the pass itself stay in the log, so the pass need not be atomic.
struct CompactionStateMachine: Sendable {
    /// A checkpoint file that is being written.
    private struct Writing: Sendable {
        let start: ContentKey
        let number: UInt64
        let firstSegment: UInt64
        /// The place of the next content.
        var cursor: ContentKey
        /// The end of the content of the last step, or `nil` for the end of all content.
        var end: ContentKey?
        var size: Int64 = 0
    }

    private let tuning: LogTuning
    private(set) var manifest: Manifest
    private var segments: [StoreFiles.Segment]
    /// The segment that follows the segment in use.
    private(set) var prepared: LogFile?
    private var nextNumber: UInt64
    private var isBusy = false
    private(set) var isStopped = false

    private var writing: Writing?
    /// The checkpoint that waits for its frame in the log.
    private(set) var pending: Checkpoint?
    private var unneeded: [String] = []
    /// The number of the segment in use, for LOCK.
    private var mark: UInt64

    /// The number of bytes in the log at the opening and in the changes since then.
    ///
    /// The frames of checkpoints do not count. Otherwise a compaction could be the cause of the next.
    private var appended: Int64
    /// The value of `appended` at the beginning of the last compaction.
    private var compactedAt: Int64 = 0
    /// The value of `appended` at which a compaction that failed is repeated.
    private var retryAt: Int64 = 0
    /// The value of `appended` at which the reserve is written again after a failure.
    private var reserveRetryAt: Int64 = 0
    /// The place of the next checkpoint of the present compaction, or `nil` without a compaction.
    private var cursor: ContentKey?
    private var reserveSize: Int64 = 0
    /// The sizes of all checkpoint files and of the largest.
    private var checkpointBytes: Int64 = 0
    private var largestFile: Int64 = 0
    /// The size of the segment that a waiting write needs, or `nil` if no write waits for room.
    private(set) var requiredSize: Int64?
    /// The error of the last attempt to create a segment, or `nil` if the attempt succeeded.
    private var segmentFailure: StoreError?
    private(set) var failure: StoreError?
    /// The number of snapshots that are being written, for which all files stay.
    private var snapshots = 0
    /// The numbers of the last compaction that was requested, that began and whose last checkpoint is durable.
    private var requestedPass: UInt64 = 0
    private var begunPass: UInt64 = 0
    private var installedPass: UInt64 = 0
    /// The number of the last compaction that ended, after the removal of the files that it replaced.
    private(set) var completedPass: UInt64 = 0

    init(_ manifest: Manifest, _ segments: [StoreFiles.Segment], nextNumber: UInt64, tuning: LogTuning) {
        self.tuning = tuning
        self.manifest = manifest
        self.segments = segments
        self.nextNumber = nextNumber
        mark = segments.last?.id.number ?? 0
        appended = segments.dropLast().reduce(0) { $0 + $1.size }
        measureFiles()
    }

    private mutating func measureFiles() {
        checkpointBytes = manifest.ranges.reduce(0) { $0 + $1.size }
        largestFile = manifest.ranges.map(\.size).max() ?? 0
    }

    // MARK: The log

    /// The segment in use.
    private var current: StoreFiles.Segment { segments[segments.count - 1] }

    mutating func didAppend(_ bytes: Int) { appended += Int64(bytes) }

    /// Makes the prepared segment the segment in use and returns it.
    mutating func roll() -> LogFile? {
        defer { prepared = nil }
        if let prepared { segments.append(StoreFiles.Segment(id: prepared.id, size: prepared.layout.reservedEnd)) }
        return prepared
    }

    /// Records that the roll frame is durable, so the last segment is in use after a crash as well.
    mutating func didRoll() { mark = current.id.number }

    /// Records that a write waits for a segment with room for `size` bytes.
    mutating func require(_ size: Int64) { requiredSize = max(size, requiredSize ?? 0) }

    mutating func clearRequirement() { requiredSize = nil }

    private var hasNoSegment: Bool { segmentFailure != nil }

    /// Applies the pending checkpoint, whose frame is now durable.
    mutating func install(_ checkpoint: Checkpoint) {
        let old = manifest
        manifest.install(checkpoint)
        pending = nil
        failure = nil
        unneeded += old.files.subtracting(manifest.files).map { LogFormat.name(.checkpoint, $0) }
        let first = manifest.firstSegment
        unneeded += segments.prefix { $0.id.number < first }.map { LogFormat.name(.segment, $0.id.number) }
        segments.removeAll { $0.id.number < first }
        measureFiles()
        cursor = checkpoint.end
        if cursor == nil { installedPass = begunPass }
        // A later compaction may have failed before.
        if unneeded.isEmpty { completedPass = max(completedPass, installedPass) }
    }

    /// Records that the pending checkpoint has no room in the log, and requires a segment of `size` bytes.
    ///
    /// If no segment can be created, the requested compactions fail. The checkpoint waits for the next segment.
    mutating func requireForCheckpoint(_ size: Int64) {
        guard let segmentFailure else { return require(size) }
        failure = segmentFailure
        begunPass = max(begunPass, requestedPass)
        completedPass = begunPass
    }

    /// Requests a compaction and returns its number.
    mutating func requestCompaction() -> UInt64 {
        // The disk may have space again.
        segmentFailure = nil
        requestedPass = begunPass + 1
        return requestedPass
    }

    /// Returns the durable files for a snapshot, and keeps all files until ``endSnapshot()``.
    ///
    /// - Parameters:
    ///   - end: The end of the durable frames in the segment in use.
    ///   - position: The position of the snapshot.
    /// - Returns: The files.
    mutating func beginSnapshot(end: Int64, _ position: LogPosition) -> SnapshotPlan {
        snapshots += 1
        return SnapshotPlan(
            manifest: manifest,
            // A segment whose roll frame is being written is not in use yet.
            segments: segments.filter { $0.id.number <= mark },
            end: end,
            number: nextNumber,
            position: position
        )
    }

    mutating func endSnapshot() { snapshots -= 1 }

    /// A Boolean value that indicates whether a snapshot needs the files.
    var isInSnapshot: Bool { snapshots > 0 }

    /// The names of the files with content that an opening needs.
    var neededFileNames: Set<String> {
        Set(manifest.files.map { LogFormat.name(.checkpoint, $0) })
            .union(segments.map { LogFormat.name(.segment, $0.id.number) })
    }

    /// The names of all files that are in use or in preparation.
    var fileNames: Set<String> {
        let numbers = [writing?.number, pending?.range.number].compactMap(\.self)
        return neededFileNames.union(numbers.map { LogFormat.name(.checkpoint, $0) })
            .union([prepared?.name, LogFormat.reserveName].compactMap(\.self))
    }

    // MARK: Steps

    /// A Boolean value that indicates whether ``nextStep(_:layout:position:)`` has a step.
    func isDue(_ live: Int64, _ layout: LogLayout) -> Bool {
        if isBusy { return false }
        return mayRemove || wantsSegment(layout) || pending == nil && (cursor != nil || isCompactionDue(live))
            || wantsReserve
    }

    /// Returns the next step.
    ///
    /// The caller executes the step and reports the result with ``completed(_:_:)``.
    mutating func nextStep(_ state: borrowing StoreStateMachine, layout: LogLayout, position: LogPosition)
        -> MaintenanceStep
    {
        let step = step(state, layout, position)
        if case .wait = step { return step }
        isBusy = true
        return step
    }

    /// Returns the last step, after which no file is open that is not in use.
    mutating func stop() -> MaintenanceStep {
        isBusy = true
        defer { prepared = nil }
        return .stop(prepared)
    }

    private mutating func step(
        _ state: borrowing StoreStateMachine,
        _ layout: LogLayout,
        _ position: LogPosition
    ) -> MaintenanceStep {
        if mayRemove {
            defer { unneeded = [] }
            return .remove(unneeded, mark: mark)
        }
        if wantsSegment(layout) {
            defer {
                nextNumber += 1
                prepared = nil
            }
            let manifestSize = Int64(FrameBuilder(manifest).frameSize + LogFormat.tailReserve)
            let size = max(requiredSize ?? 0, segmentSize(state.liveBytes) + manifestSize)
            return .prepare(
                number: nextNumber,
                after: current.id,
                sizes: [size] + (requiredSize.map { [$0] } ?? []),
                replacing: prepared,
                mayUseReserve: pending != nil
            )
        }
        if pending != nil { return .wait }
        if writing == nil {
            if cursor == nil, isCompactionDue(state.liveBytes) {
                cursor = .start
                compactedAt = appended
                begunPass += 1
            }
            if let cursor {
                writing = Writing(start: cursor, number: nextNumber, firstSegment: current.id.number, cursor: cursor)
                nextNumber += 1
            }
        }
        if var writing {
            let target = max(tuning.checkpointSize, state.liveBytes / 64)
            let room = Int(clamping: min(max(1, target - writing.size), 256 << 10))
            let slice = state.slice(from: writing.cursor, to: nil, limit: tuning.sliceLimit, maxBytes: room)
            let bytes = slice.mutations.reduce(0) { $0 + $1.approximateSize }
            let isLast = slice.next.map { _ in writing.size + Int64(bytes) >= target } ?? true
            writing.end = slice.next
            if let next = slice.next { writing.cursor = next }
            self.writing = writing
            if slice.mutations.isEmpty, writing.size == 0, isLast {
                // The range has no content and needs no file.
                finish(writing, number: 0, salt: 0, size: 0)
                return .wait
            }
            return .write(slice.mutations, number: writing.number, position, isLast: isLast)
        }
        return wantsReserve ? .reserve(wantedReserve) : .wait
    }

    private mutating func finish(_ writing: Writing, number: UInt64, salt: UInt64, size: Int64) {
        let range = CheckpointRange(
            start: writing.start,
            number: number,
            salt: salt,
            size: size,
            firstSegment: writing.firstSegment
        )
        pending = Checkpoint(range, end: writing.end)
        self.writing = nil
    }

    /// Records the result of a step.
    mutating func completed(_ step: MaintenanceStep, _ result: MaintenanceResult) {
        isBusy = false
        switch (step, result) {
        case (.prepare(_, _, _, _, let mayUseReserve), .prepared(let file)):
            if mayUseReserve { releasedReserve() }
            prepared = file
            requiredSize = nil
            segmentFailure = nil
        case (.prepare, .failed(let error)):
            requiredSize = nil
            segmentFailure = StoreError(error)
        case (.write, .written(let size)):
            writing?.size = size
        case (.write(_, let number, _, _), .completed(let salt, let size)):
            if let writing { finish(writing, number: number, salt: salt, size: size) }
            releasedReserve()
        case (.write, .failed(let error)):
            writing = nil
            cursor = nil
            failure = StoreError(error)
            completedPass = begunPass
            retryAt = appended + max(tuning.growth, tuning.compactionMinimum / 4)
            releasedReserve()
        case (.remove, let result):
            completedPass = max(completedPass, installedPass)
            if case .failed(let error) = result { failure = StoreError(error) }
        case (.reserve(let size), .done):
            reserveSize = size
        case (.reserve, .failed):
            reserveRetryAt = appended + tuning.growth
        case (.stop, _):
            isStopped = true
        default: break
        }
    }

    /// Records that a step may have released the reserve, which is then filled again.
    private mutating func releasedReserve() { reserveSize = 0 }

    // MARK: Decisions

    private func wantsSegment(_ layout: LogLayout) -> Bool {
        if prepared != nil { return prepared.map { $0.layout.reservedEnd < requiredSize ?? 0 } ?? false }
        if requiredSize != nil { return true }
        return layout.end > layout.reservedEnd / 2 && !hasNoSegment
    }

    private func segmentSize(_ live: Int64) -> Int64 {
        let sector = Int64(LogFormat.sectorSize)
        return max(tuning.growth, min(8 * tuning.growth, live / 16 / sector * sector))
    }

    private var mayRemove: Bool { !unneeded.isEmpty && !isInSnapshot }

    private func isCompactionDue(_ live: Int64) -> Bool {
        if requestedPass > begunPass { return true }
        if appended < retryAt { return false }
        let added = appended - compactedAt
        if added > tuning.compactionMinimum.saturatingAdd(live / 2) { return true }
        // Deleted and expired content.
        let slack = tuning.compactionMinimum + 4096 * Int64(manifest.ranges.count)
        if checkpointBytes > live.saturatingMultiply(2).saturatingAdd(slack) { return true }
        return hasNoSegment && added > tuning.growth && added.saturatingAdd(checkpointBytes) > live + live / 4
    }

    private var wantsReserve: Bool { wantedReserve > reserveSize && appended >= reserveRetryAt }

    private var wantedReserve: Int64 {
        // Room for one checkpoint file and a small segment.
        largestFile > 0 ? max(tuning.checkpointSize, largestFile) + tuning.growth : min(tuning.growth, 64 << 10)
    }
}

extension StoreMutation {
    /// The approximate number of encoded bytes.
    var approximateSize: Int {
        switch self {
        case .put(let key, let entry): key.byteCount + entry.value.count + 24
        case .putRecord(let record): record.queue.utf8.count + record.id.utf8.count + record.payload.count + 40
        case .remove, .removeRecord: 0
        }
    }
}

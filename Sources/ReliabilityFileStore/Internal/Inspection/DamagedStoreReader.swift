internal import ReliabilityStore

/// Reads everything that is intact in the files of a damaged store and records everything that is not.
///
/// Files name each other: a segment names its neighbors, and the manifest names the checkpoint files. A file whose
/// header is damaged can therefore be read with the salt from another file.
struct DamagedStoreReader {
    private struct File {
        let name: String
        let number: UInt64
        let size: Int64
        /// The header, or `nil` if the header is damaged or belongs to another file.
        var header: FileHeader?
        var hasUnknownFormat = false
    }

    /// A segment after its frames were read.
    private struct Segment {
        let number: UInt64
        let previous: SegmentEnd?
        let parts: [FrameScanner.Part]
        /// A Boolean value that indicates whether frames between this segment and the next segment are lost.
        var isEndLost = false

        var last: FrameScanner.Frame? {
            for case .frame(let frame) in parts.reversed() { return frame }
            return nil
        }
    }

    private let directory: StoreDirectory
    private let mark: StoreDirectory.Mark
    private(set) var files: [FileInspection] = []
    private(set) var findings: [DamageFinding] = []
    private(set) var content = SalvagedContent()
    /// The number of places in the log at which frames are missing.
    private(set) var logGaps = 0

    private var segmentFiles: [UInt64: File] = [:]
    private var checkpointFiles: [UInt64: File] = [:]
    /// The salts that other files state.
    private var segmentSalts: [UInt64: UInt64] = [:]
    private var manifest: Manifest?
    /// The numbers of the checkpoint files with lost frames.
    private var incompleteCheckpoints: Set<UInt64> = []

    /// Reads a directory.
    ///
    /// - Parameter directory: The directory.
    /// - Throws: `StoreError` if a call to the file system fails.
    init(_ directory: StoreDirectory) throws(StoreError) {
        self.directory = directory
        mark = try withStoreErrors { () throws(FileSystemError) in try directory.mark() }
        files = try FileInspection.files(in: directory)
        try list()
        let isFirstFormat = segmentFiles.isEmpty && files.contains { $0.role == .firstFormatLog }
        if isFirstFormat { try readFirstFormat() } else { try readSegments() }
    }

    // MARK: Files

    private mutating func list() throws(StoreError) {
        for file in files {
            if let number = LogFormat.number(.segment, inName: file.name), file.role == .segment {
                segmentFiles[number] = try self.file(file.name, number, .segment, file.size)
            }
            if let number = LogFormat.number(.checkpoint, inName: file.name), file.role == .checkpoint {
                checkpointFiles[number] = try self.file(file.name, number, .checkpoint, file.size)
            }
        }
        // A header with another store than most headers was copied from another store.
        let headers = (Array(segmentFiles.values) + Array(checkpointFiles.values)).compactMap(\.header)
        let counts = Dictionary(grouping: headers, by: \.store).mapValues(\.count)
        let store = counts.max { ($0.value, $0.key) < ($1.value, $1.key) }?.key
        func own(_ file: File) -> File {
            var file = file
            if file.header?.store != store { file.header = nil }
            return file
        }
        segmentFiles = segmentFiles.mapValues(own)
        checkpointFiles = checkpointFiles.mapValues(own)
    }

    private func file(
        _ name: String,
        _ number: UInt64,
        _ kind: FileHeader.Kind,
        _ size: Int64
    ) throws(StoreError) -> File {
        let bytes = try read(name) { source throws(FileSystemError) in try source(0, LogFormat.sectorSize) }
        var file = File(name: name, number: number, size: size)
        do throws(FileHeader.Failure) {
            let header = try FileHeader(decoding: bytes)
            if header.number == number, header.kind == kind { file.header = header }
        } catch {
            if case .unknownFormat = error { file.hasUnknownFormat = true }
        }
        return file
    }

    private func read<Result>(
        _ name: String,
        _ body: (@escaping LogReader.Source) throws(FileSystemError) -> Result
    ) throws(StoreError) -> Result {
        do throws(FileSystemError) {
            let fileSystem = directory.fileSystem
            let file = try fileSystem.openFile(name, in: directory.directory)
            defer { fileSystem.close(file) }
            return try body { [progress = directory.progress] offset, count throws(FileSystemError) in
                let bytes = try fileSystem.readAll(file, at: offset, count: count)
                progress?.didRead(name, to: offset + Int64(bytes.count))
                return bytes
            }
        } catch {
            throw StoreError(error)
        }
    }

    /// Reads the frames of a file and records what is lost.
    private mutating func parts(
        _ file: File,
        salt known: UInt64?,
        upTo limit: Int64?,
        isNeeded: Bool
    ) throws(StoreError) -> [FrameScanner.Part] {
        func finding(_ reason: DamageFinding.Reason, _ range: Range<Int64>, _ lost: UInt64?) -> DamageFinding {
            DamageFinding(file: file.name, reason: reason, range: range, lostFrames: lost, isNeeded: isNeeded)
        }
        let index = files.firstIndex { $0.name == file.name } ?? 0
        files[index].isNeeded = isNeeded
        let all = 0..<file.size
        let sector = 0..<min(file.size, Int64(LogFormat.sectorSize))
        if file.hasUnknownFormat {
            findings.append(finding(.format, all, nil))
            return [.gap(all, lostFrames: nil)]
        }
        let isForeign = known != nil && file.header != nil && file.header?.salt != known
        let header = isForeign ? nil : file.header
        guard let salt = known ?? header?.salt else {
            findings.append(finding(.unknownSalt, all, nil))
            return [.gap(all, lostFrames: nil)]
        }
        if header == nil { findings.append(finding(.header, sector, 0)) }
        var parts = try read(file.name) { source throws(FileSystemError) in
            var scanner = FrameScanner(size: file.size, source: source)
            return try scanner.parts(salt: salt, upTo: limit)
        }
        var isDamaged = header == nil
        for part in parts {
            switch part {
            case .frame(let frame):
                files[index].frames += 1
                files[index].readableBytes += frame.end - frame.offset
                if isDamaged { files[index].readableBytesAfterDamage += frame.end - frame.offset }
            case .gap(let range, let lost):
                isDamaged = true
                findings.append(finding(.frames, range, lost))
            }
        }
        if limit == nil, let range = lostEnd(of: parts, file, header) {
            findings.append(finding(.end, range, nil))
            parts.append(.gap(range, lostFrames: nil))
        }
        return parts
    }

    /// Returns the bytes after the last frame if frames are lost there although only zeros or no bytes remain.
    private func lostEnd(of parts: [FrameScanner.Part], _ file: File, _ header: FileHeader?) -> Range<Int64>? {
        let sector = Int64(LogFormat.sectorSize)
        guard let last = parts.last else {
            // Another file names this file, so the file had frames. A file with a header may have been prepared only.
            guard let header else { return sector..<max(sector, file.size) }
            return header.floor > sector ? sector..<header.floor : nil
        }
        guard case .frame(let frame) = last, let header, !frame.isEnd else { return nil }
        // A shorter file was cut off, perhaps between two frames.
        let end = file.size < header.reservedEnd ? header.reservedEnd : header.floor
        return frame.end < end ? frame.end..<end : nil
    }

    // MARK: Segments

    private mutating func readSegments() throws(StoreError) {
        for file in segmentFiles.values {
            if let previous = file.header?.previous { segmentSalts[previous.segment.number] = previous.segment.salt }
        }
        var segments: [Segment] = []
        let numbers = segmentFiles.keys.sorted()
        for (index, number) in numbers.enumerated() {
            guard let file = segmentFiles[number] else { continue }
            let next = index + 1 < numbers.count ? segmentFiles[numbers[index + 1]]?.header?.previous : nil
            let limit = next.flatMap { $0.segment.number == number && $0.offset > 0 ? $0.offset : nil }
            if try isUnfinished(file) { continue }
            let parts = try parts(file, salt: segmentSalts[number], upTo: limit, isNeeded: true)
            // A segment without a frame was prepared and is not in use.
            if parts.isEmpty { continue }
            segments.append(Segment(number: number, previous: file.header?.previous, parts: parts))
            for case .frame(let frame) in parts {
                switch frame.content {
                case .manifest(let found): manifest = found
                case .checkpoint(let checkpoint): manifest?.install(checkpoint)
                case .roll(let next): segmentSalts[next.number] = next.salt
                case .mutations, .seal: break
                }
            }
        }
        let first = manifest?.firstSegment ?? 0
        for number in segmentFiles.keys where number < first { ignore(LogFormat.name(.segment, number)) }
        segments.removeAll { $0.number < first }
        let isStartLost = manifest.map { $0.firstSegment != segments.first?.number } ?? false
        if isStartLost { missing(.segment, first) }
        for index in segments.indices {
            let next = index + 1 < segments.count ? segments[index + 1] : nil
            segments[index].isEndLost = isEndLost(segments[index], next)
        }
        if case .segment(let number) = mark, number > segments.last?.number ?? 0 {
            missing(.segment, number)
            if !segments.isEmpty { segments[segments.count - 1].isEndLost = true }
        }
        try readCheckpoints()
        if isStartLost { logGaps += 1 }
        for segment in segments { apply(segment) }
    }

    /// Returns a Boolean value that indicates whether a crash interrupted the creation of a segment.
    ///
    /// The header is written last. The segment of an owner is then recorded in LOCK, and every other segment in use is
    /// named by its predecessor.
    private func isUnfinished(_ file: File) throws(StoreError) -> Bool {
        guard case .segment(let number) = mark, file.number > number, file.header == nil,
            segmentSalts[file.number] == nil
        else { return false }
        let bytes = try read(file.name) { source throws(FileSystemError) in try source(0, LogFormat.sectorSize) }
        return bytes.isZero(0..<bytes.count)
    }

    /// Removes the findings of a file that the store does not need.
    private mutating func ignore(_ name: String) {
        for index in files.indices where files[index].name == name { files[index].isNeeded = false }
        findings.removeAll { $0.file == name }
    }

    private mutating func missing(_ kind: FileHeader.Kind, _ number: UInt64) {
        let name = LogFormat.name(kind, number)
        if findings.contains(where: { $0.file == name && $0.reason == .missing }) { return }
        findings.append(DamageFinding(file: name, reason: .missing, range: 0..<0, lostFrames: nil))
    }

    /// Returns a Boolean value that indicates whether frames between a segment and the next segment are lost.
    ///
    /// The loss becomes a finding.
    private mutating func isEndLost(_ segment: Segment, _ next: Segment?) -> Bool {
        switch segment.last?.content {
        case .roll(let following):
            if next?.number == following.number { return false }
            missing(.segment, following.number)
            return true
        case .seal, .mutations, .manifest, .checkpoint, nil:
            guard let next, let previous = next.previous else { return false }
            if previous.segment.number != segment.number {
                missing(.segment, previous.segment.number)
                return true
            }
            // A segment with only a manifest may have been prepared, and not in use.
            if previous.offset > 0 || next.parts.count < 2 { return false }
            let end = segment.last?.end ?? Int64(LogFormat.sectorSize)
            let name = LogFormat.name(.segment, segment.number)
            if findings.contains(where: { $0.file == name && $0.reason == .end }) { return true }
            findings.append(DamageFinding(file: name, reason: .end, range: end..<end, lostFrames: nil))
            return true
        }
    }

    private mutating func apply(_ segment: Segment) {
        for part in segment.parts {
            switch part {
            case .gap: logGaps += 1
            case .frame(let frame):
                content.apply(frame, gaps: logGaps) { [manifest, incompleteCheckpoints] place in
                    guard let range = manifest?.range(of: place) else { return true }
                    // An intact checkpoint is newer than these frames. The newest of their changes may be lost.
                    return range.firstSegment <= segment.number || incompleteCheckpoints.contains(range.number)
                }
            }
        }
        if segment.isEndLost { logGaps += 1 }
    }

    // MARK: Checkpoints

    private mutating func readCheckpoints() throws(StoreError) {
        let named = manifest?.files ?? []
        let isManifestCertain = manifest != nil && findings.allSatisfy { $0.lostFrames == 0 }
        // The checkpoint files of a newer manifest that may be lost.
        for number in checkpointFiles.keys.sorted() where !named.contains(number) && !isManifestCertain {
            guard let file = checkpointFiles[number], let header = file.header else { continue }
            let parts = try parts(file, salt: nil, upTo: header.floor, isNeeded: false)
            for case .frame(let frame) in parts { content.apply(frame, gaps: -1) { _ in true } }
        }
        guard let manifest else { return }
        for (index, range) in manifest.ranges.enumerated() where range.number > 0 {
            guard let file = checkpointFiles[range.number] else {
                missing(.checkpoint, range.number)
                incompleteCheckpoints.insert(range.number)
                continue
            }
            let isRead = manifest.ranges.prefix(index).contains { $0.number == range.number }
            let known = (findings, files)
            let parts = try parts(file, salt: range.salt, upTo: range.size, isNeeded: true)
            // The file counts once.
            if isRead { (findings, files) = known }
            if findings.contains(where: { $0.file == file.name && $0.lostFrames != 0 }) {
                incompleteCheckpoints.insert(range.number)
            }
            let end = manifest.end(of: index)
            for case .frame(let frame) in parts {
                // Frames are lost for the range only if they are lost after the checkpoint.
                content.apply(frame, gaps: 0) { place in place >= range.start && end.map { place < $0 } ?? true }
            }
        }
    }

    // MARK: Format 1

    private mutating func readFirstFormat() throws(StoreError) {
        let name = LogFormat.firstFormatName
        let bytes = try read(name) { source throws(FileSystemError) in try source(0, LogFormat.sectorSize) }
        var file = File(name: name, number: 0, size: files.first { $0.name == name }?.size ?? 0)
        file.header = try? FileHeader(decoding: bytes, format: 1)
        for part in try parts(file, salt: nil, upTo: nil, isNeeded: true) {
            switch part {
            case .gap: logGaps += 1
            case .frame(let frame): content.apply(frame, gaps: logGaps) { _ in true }
            }
        }
    }
}

extension Manifest {
    /// Returns the range with a place.
    func range(of place: ContentKey) -> CheckpointRange? {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].start <= place { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? ranges[low - 1] : nil
    }
}

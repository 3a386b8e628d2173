internal import ReliabilityCore
internal import ReliabilityStore

/// The files of a store that an opening found and read.
package struct StoreFiles {
    /// A segment that the store still needs.
    struct Segment: Hashable {
        var id: SegmentID
        var size: Int64
    }

    /// The random number of the store, or 0 for a new store and a store in format 1.
    private(set) var store: UInt64 = 0
    private(set) var isNew = false
    private(set) var isFirstFormat = false
    private(set) var manifest = Manifest(firstSegment: 0)
    /// The needed segments in order.
    private(set) var segments: [Segment] = []
    /// The figures of the last segment.
    package private(set) var last = LogContents()
    /// The mutations of the last frame, which may exist only in the page cache.
    private(set) var lastFrame: [StoreMutation] = []
    private(set) var replayedFrames = 0
    private(set) var replayedBytes: Int64 = 0
    /// The names of all files.
    private(set) var names: [String] = []

    private let directory: StoreDirectory

    /// Reads the files of a directory and applies their content to a state.
    init(_ directory: StoreDirectory, into state: inout StoreStateMachine) throws(StoreError) {
        self.directory = directory
        names = try withStoreErrors { () throws(FileSystemError) in try directory.names() }
        let mark = try withStoreErrors { () throws(FileSystemError) in try directory.mark() }
        if case .segment(let number) = mark {
            try readSegments(from: number, into: &state)
        } else if mark == .new {
            isNew = true
        } else if names.contains(LogFormat.firstFormatName) {
            try readFirstFormat(into: &state)
        } else if let number = try segmentWithoutMark() {
            try readSegments(from: number, into: &state)
        } else if mark == .firstFormat {
            let name = LogFormat.firstFormatName
            throw .damaged(name, 0, "\(name) is missing, although LOCK records that the store had a log")
        } else {
            isNew = true
        }
    }

    /// The end of the last segment for its successor, or `nil` if the store has no segment.
    var end: SegmentEnd? {
        // The last frame is written again. It is the only frame that a failed sync may have left in the page cache.
        segments.last.map { SegmentEnd(segment: $0.id, offset: last.lastFrame) }
    }

    /// The name of the last segment with a frame and the end of its frames, or `nil` without a segment.
    package private(set) var tail: (name: String, end: Int64)?

    /// A number above the numbers of all files.
    var freeNumber: UInt64 {
        let numbers = names.compactMap {
            LogFormat.number(.segment, inName: $0) ?? LogFormat.number(.checkpoint, inName: $0)
        }
        return (numbers.max() ?? 0) + 1
    }

    /// The names of the files with content that the store needs.
    var neededNames: [String] {
        let unneeded = Set(unneededNames)
        return names.filter { name in
            let isNumbered =
                LogFormat.number(.segment, inName: name) != nil || LogFormat.number(.checkpoint, inName: name) != nil
            return (isNumbered || name == LogFormat.firstFormatName) && !unneeded.contains(name)
        }
    }

    /// The names of files that an earlier owner left and that the store does not need.
    var unneededNames: [String] {
        let needed = Set(segments.map(\.id.number))
        return names.filter { name in
            if let number = LogFormat.number(.segment, inName: name) { return !needed.contains(number) }
            if let number = LogFormat.number(.checkpoint, inName: name) { return !manifest.files.contains(number) }
            return name == LogFormat.firstFormatName || name == LogFormat.firstFormatTemporaryName
        }
    }

    private mutating func readFirstFormat(into state: inout StoreStateMachine) throws(StoreError) {
        isFirstFormat = true
        last = try directory.read(LogFormat.firstFormatName) { reader throws(LogReader.Failure) in
            try reader.replay(try reader.header(format: 1), .open) { content in
                if case .mutations(let mutations) = content { state.apply(mutations) }
            }
        }
        (replayedFrames, replayedBytes) = (last.frames, last.bytes)
    }

    // MARK: Segments

    /// Returns the number of a segment in use if LOCK has no mark, or `nil` for a new store.
    private func segmentWithoutMark() throws(StoreError) -> UInt64? {
        let numbers = names.compactMap { LogFormat.number(.segment, inName: $0) }.sorted(by: >)
        for number in numbers {
            let header: FileHeader?
            do throws(StoreError) {
                header = try self.header(number)
            } catch {
                // A crash during the creation of a segment leaves a header of zeros.
                guard case .corruption(_, 0) = error.reason, try hasNoHeader(number) else { throw error }
                header = nil
            }
            guard let header else { continue }
            // A segment that was prepared is in use only after a roll frame of its predecessor.
            if let previous = header.previous, previous.offset == 0, numbers.contains(previous.segment.number) {
                continue
            }
            return number
        }
        return nil
    }

    private func hasNoHeader(_ number: UInt64) throws(StoreError) -> Bool {
        try directory.read(LogFormat.name(.segment, number)) { reader throws(LogReader.Failure) in
            try reader.isZero(0, LogFormat.sectorSize)
        }
    }

    private func header(_ number: UInt64) throws(StoreError) -> FileHeader {
        let name = LogFormat.name(.segment, number)
        return try directory.read(name) { reader throws(LogReader.Failure) in
            try reader.header { header in
                header.kind == .segment && header.number == number && (store == 0 || header.store == store)
            }
        }
    }

    /// Reads the store from a segment in use: its successors, then everything that the last manifest names.
    private mutating func readSegments(from number: UInt64, into state: inout StoreStateMachine) throws(StoreError) {
        var header = try header(number)
        store = header.store
        var frames: [FrameContent] = []
        while true {
            let name = LogFormat.name(.segment, header.number)
            let read = try readSegment(header)
            guard case .manifest(let manifest) = read.frames.first else {
                let offset = Int64(LogFormat.sectorSize)
                throw .damaged(name, offset, "\(name) has no valid frame at offset \(offset)")
            }
            (frames, last, self.manifest) = (read.frames, read.contents, manifest)
            tail = (name, last.bytes)
            guard let next = last.next else {
                try checkEnd(of: header)
                break
            }
            guard next.number > header.number else {
                throw .damaged(name, last.lastFrame, "\(name) names an earlier segment as the next segment")
            }
            let successor = try self.header(next.number)
            try check(successor, hasSalt: next.salt)
            let beginning = try readSegment(successor)
            if beginning.frames.count == 1, case .manifest = beginning.frames[0] {
                // The roll frame may exist only in the page cache. Nothing that follows was acknowledged.
                last.droppedTailBytes = beginning.contents.droppedTailBytes
                tail = (LogFormat.name(.segment, successor.number), beginning.contents.bytes)
                break
            }
            header = successor
        }
        for case .checkpoint(let checkpoint) in frames { manifest.install(checkpoint) }
        if case .mutations(let mutations) = frames.last { lastFrame = mutations }

        let earlier = try earlierSegments(before: header)
        for (index, range) in manifest.ranges.enumerated() where range.number > 0 {
            try readCheckpoint(range, upTo: manifest.end(of: index), into: &state)
        }
        for (header, extent) in earlier {
            let contents = try directory.read(LogFormat.name(.segment, header.number)) {
                reader throws(LogReader.Failure) in
                try reader.replay(header, extent) { Self.apply($0, to: &state) }
            }
            replayedFrames += contents.frames
            replayedBytes += contents.bytes
            segments.append(Segment(id: SegmentID(number: header.number, salt: header.salt), size: header.reservedEnd))
        }
        for frame in frames { Self.apply(frame, to: &state) }
        replayedFrames += last.frames
        replayedBytes += last.bytes
        segments.append(Segment(id: SegmentID(number: header.number, salt: header.salt), size: header.reservedEnd))
    }

    private func readSegment(
        _ header: FileHeader
    ) throws(StoreError) -> (frames: [FrameContent], contents: LogContents) {
        var frames: [FrameContent] = []
        let contents = try directory.read(LogFormat.name(.segment, header.number)) {
            reader throws(LogReader.Failure) in
            try reader.replay(header, .open) { frames.append($0) }
        }
        return (frames, contents)
    }

    /// Checks that no frame of another segment follows a segment that ends without a roll frame.
    ///
    /// A prepared segment has bytes after its manifest only if the roll frame was durable.
    private func checkEnd(of header: FileHeader) throws(StoreError) {
        let end = SegmentEnd(segment: SegmentID(number: header.number, salt: header.salt), offset: 0)
        let numbers = names.compactMap { LogFormat.number(.segment, inName: $0) }
        for number in numbers where number > header.number && !last.isSealed {
            var frames = 0
            var isInUse = false
            do throws(StoreError) {
                let successor = try self.header(number)
                guard successor.previous == end else { continue }
                let contents = try directory.read(LogFormat.name(.segment, number)) {
                    reader throws(LogReader.Failure) in
                    try reader.replay(successor, .open) { _ in frames += 1 }
                }
                isInUse = frames > 1 || frames == 1 && contents.droppedTailBytes > 0
            } catch {
                // A segment that is not in use may be damaged. Another error prevents the opening.
                switch error.reason {
                case .corruption, .unsupportedFormat: isInUse = frames > 0
                default: throw error
                }
            }
            if isInUse {
                let name = LogFormat.name(.segment, header.number)
                throw .damaged(name, last.bytes, "\(name) has no valid frame at offset \(last.bytes)")
            }
        }
    }

    /// Returns the needed segments before the last segment in order, with the ends of their frames.
    private func earlierSegments(
        before last: FileHeader
    ) throws(StoreError) -> [(header: FileHeader, extent: LogReader.Extent)] {
        var earlier: [(header: FileHeader, extent: LogReader.Extent)] = []
        var header = last
        while header.number > manifest.firstSegment {
            guard let previous = header.previous, previous.segment.number >= manifest.firstSegment,
                previous.segment.number < header.number
            else { break }
            let found = try self.header(previous.segment.number)
            try check(found, hasSalt: previous.segment.salt)
            let successor = SegmentID(number: header.number, salt: header.salt)
            earlier.insert((found, previous.offset > 0 ? .upTo(previous.offset) : .rolled(successor)), at: 0)
            header = found
        }
        guard header.number == manifest.firstSegment else {
            let name = LogFormat.name(.segment, manifest.firstSegment)
            throw .damaged(name, 0, "\(name) is missing from the segments of the log")
        }
        return earlier
    }

    private func check(_ header: FileHeader, hasSalt salt: UInt64) throws(StoreError) {
        if header.salt == salt { return }
        let name = LogFormat.name(.segment, header.number)
        throw .damaged(name, 0, "\(name) is not the file that the next or previous segment names")
    }

    private static func apply(_ content: FrameContent, to state: inout StoreStateMachine) {
        if case .mutations(let mutations) = content { state.apply(mutations) }
    }

    // MARK: Checkpoints

    private mutating func readCheckpoint(
        _ range: CheckpointRange,
        upTo end: ContentKey?,
        into state: inout StoreStateMachine
    ) throws(StoreError) {
        let name = LogFormat.name(.checkpoint, range.number)
        let contents = try directory.read(name) { reader throws(LogReader.Failure) in
            let header = try reader.header { header in
                header.kind == .checkpoint && header.number == range.number && header.salt == range.salt
                    && header.floor == range.size
            }
            return try reader.replay(header, .sealed) { content in
                guard case .mutations(let mutations) = content else { return }
                // Content outside of the range is in a newer checkpoint.
                state.apply(mutations.filter { $0.isIn(range.start, end) })
            }
        }
        replayedFrames += contents.frames
        replayedBytes += contents.bytes
    }
}

extension StoreMutation {
    fileprivate func isIn(_ start: ContentKey, _ end: ContentKey?) -> Bool {
        let place = contentKey
        return place >= start && (end.map { place < $0 } ?? true)
    }
}

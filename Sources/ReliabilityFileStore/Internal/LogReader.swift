package import ReliabilityStore

/// The figures of a file after a reader read it.
package struct LogContents: Hashable, Sendable {
    package var frames = 0
    /// The end of the last frame.
    package var bytes: Int64 = 0
    /// The offset of the last frame.
    package var lastFrame: Int64 = 0
    package var droppedTailBytes: Int64 = 0
    package var isSealed = false
    /// The segment that follows according to the last frame, or `nil` without a roll frame.
    package var next: SegmentID?
    package var position = LogPosition(clock: .min, nextVersion: 1)
    package init() {}
}

/// The content of a frame.
package enum FrameContent: Hashable, Sendable {
    case mutations([StoreMutation])
    case manifest(Manifest)
    case checkpoint(Checkpoint)
    case roll(SegmentID)
    case seal
}

/// Reads a file from its beginning, and distinguishes damage from a write that a crash cut off.
///
/// A frame is written only after all earlier bytes are durable. An invalid frame is therefore one of the following:
///
/// - *Damaged* if the frame lies before the floor or a valid frame follows. The frame had been acknowledged.
/// - *Cut off* if a part of the frame is missing and nothing follows. More of its sectors are zeros than its header
///   states, or its header or body ends early in zeros. The frame counts as never acknowledged.
/// - *Damaged* in all other cases. A crash leaves each sector either unchanged or fully written.
package struct LogReader {
    /// Reads bytes of the file.
    ///
    /// Returns fewer than `count` bytes only at the end of the file.
    package typealias Source = (_ offset: Int64, _ count: Int) throws(FileSystemError) -> [UInt8]

    package enum Failure: Error {
        case damaged(offset: Int64)
        case unknownFormat(UInt32)
        case fileSystem(FileSystemError)
    }

    /// The end of the frames in a file.
    package enum Extent: Hashable, Sendable {
        /// A crash may have cut off the last frame.
        case open
        /// The frames end at this offset, and the rest of the file has no meaning.
        case upTo(Int64)
        /// The last frame is a roll frame for this segment.
        case rolled(SegmentID)
        /// The last frame is a seal, and nothing follows.
        case sealed
    }

    private let size: Int64
    private let source: Source

    package init(size: Int64, source: @escaping Source) {
        self.size = size
        self.source = source
    }

    /// Reads all frames after a file header.
    ///
    /// - Parameters:
    ///   - fileHeader: The header of the file.
    ///   - extent: The end of the frames.
    ///   - receive: A closure that receives the content of each frame in order.
    /// - Returns: The figures of the file and of the dropped bytes.
    /// - Throws: ``Failure``.
    package func replay(
        _ fileHeader: FileHeader,
        _ extent: Extent,
        _ receive: (FrameContent) -> Void
    ) throws(Failure) -> LogContents {
        var contents = LogContents()
        var offset = Int64(LogFormat.sectorSize)
        var (end, floor) = (size, fileHeader.floor)
        switch extent {
        case .open: break
        case .upTo(let limit): (end, floor) = (limit, limit)
        // Every frame of these files was durable before the file that names them.
        case .rolled, .sealed: floor = .max
        }
        contents.bytes = offset
        if end > size { throw .damaged(offset: size) }
        while offset < end {
            let sector = try read(offset, LogFormat.sectorSize)
            guard let header = FrameHeader(sector, salt: fileHeader.salt, offset: offset) else {
                if offset < floor { throw .damaged(offset: offset) }
                contents.droppedTailBytes = try droppedBytes(ofFrameWithoutHeader: sector, offset, fileHeader.salt)
                return contents
            }
            let frame = try readFrame(header, offset)
            guard FrameHeader.bodyChecksum(frame, fileHeader.salt, offset) == header.bodyChecksum else {
                if offset < floor { throw .damaged(offset: offset) }
                contents.droppedTailBytes = try droppedBytes(of: frame, header, offset)
                return contents
            }
            guard header.number == UInt64(contents.frames), header.position.nextVersion < versionLimit,
                header.position.clock >= contents.position.clock,
                let content = content(of: frame, header)
            else { throw .damaged(offset: offset) }
            receive(content)
            contents.lastFrame = offset
            offset += Int64(frame.count)
            contents.frames += 1
            contents.bytes = offset
            contents.position = header.position
            if case .roll(let next) = content { contents.next = next }
            contents.isSealed = content == .seal
            if contents.isSealed || contents.next != nil {
                if end < size { break }
                if let end = try scan(from: offset, salt: nil).lastNonZero { throw .damaged(offset: end) }
                break
            }
        }
        let isComplete =
            switch extent {
            case .open: true
            case .upTo(let end): offset == end
            case .rolled(let next): contents.next == next
            case .sealed: contents.isSealed && offset == fileHeader.floor && offset == size
            }
        if !isComplete { throw .damaged(offset: offset) }
        return contents
    }

    private func content(of frame: [UInt8], _ header: FrameHeader) -> FrameContent? {
        let start = LogFormat.frameHeaderSize
        var reader = ByteReader(frame, start..<start + Int(header.payloadLength))
        return try? reader.content(header.kind)
    }

    /// Returns a Boolean value that indicates whether bytes are zeros or beyond the end of the file.
    package func isZero(_ offset: Int64, _ count: Int) throws(Failure) -> Bool {
        let bytes = try read(offset, count)
        return bytes.isZero(0..<bytes.count)
    }

    /// Reads and checks the header of a file in `format`.
    ///
    /// - Parameters:
    ///   - format: The format.
    ///   - isExpected: A closure that returns `false` for the header of another file.
    /// - Returns: The header.
    /// - Throws: ``Failure``.
    package func header(
        format: UInt32 = LogFormat.version,
        _ isExpected: (FileHeader) -> Bool = { _ in true }
    ) throws(Failure) -> FileHeader {
        let bytes = try read(0, LogFormat.sectorSize)
        let header: FileHeader
        do throws(FileHeader.Failure) {
            header = try FileHeader(decoding: bytes, format: format)
        } catch {
            switch error {
            case .damaged: throw .damaged(offset: 0)
            case .unknownFormat(let version): throw .unknownFormat(version)
            }
        }
        // The size is compared last, because the header of another file has another size.
        guard isExpected(header) else { throw .damaged(offset: 0) }
        guard size >= header.reservedEnd, size >= header.floor else { throw .damaged(offset: size) }
        return header
    }

    /// Reads the bytes of a frame with a valid header.
    private func readFrame(_ header: FrameHeader, _ offset: Int64) throws(Failure) -> [UInt8] {
        // The file was this long when the frame was written, so a shorter file was truncated later.
        if size < header.reservedEnd { throw .damaged(offset: size) }
        guard header.payloadLength <= LogFormat.maxPayload else { throw .damaged(offset: offset) }
        let frameSize = LogFormat.frameSize(payload: Int(header.payloadLength))
        guard Int64(frameSize) <= size - offset else { throw .damaged(offset: offset) }
        let frame = try read(offset, frameSize)
        guard frame.count == frameSize else { throw .damaged(offset: offset) }
        return frame
    }

    private func droppedBytes(
        ofFrameWithoutHeader sector: [UInt8],
        _ offset: Int64,
        _ salt: UInt64
    ) throws(Failure) -> Int64 {
        if sector.isZero(0..<sector.count) {
            // Nothing was written here, or the frame lost its first sector and later sectors remain.
            let rest = try scan(from: offset, salt: salt)
            if rest.hasFrame { throw .damaged(offset: offset) }
            return rest.lastNonZero.map { $0 + 1 - offset } ?? 0
        }
        let start = LogFormat.frameHeaderSize
        let isBeginning =
            sector.count >= start
            && isCutOff(sector[0..<4], of: LogFormat.frameMagic, orWhole: true)
            && isCutOff(sector[60..<64], of: LogFormat.endMark)
            && sector.isZero(start..<sector.count)
        let next = offset + Int64(sector.count)
        guard isBeginning, try scan(from: next, salt: nil).lastNonZero == nil else { throw .damaged(offset: offset) }
        return Int64(start)
    }

    private func droppedBytes(
        of frame: [UInt8],
        _ header: FrameHeader,
        _ offset: Int64
    ) throws(Failure) -> Int64 {
        let isIncomplete =
            FrameHeader.zeroSectors(in: frame) > Int(header.zeroSectors)
            || isCutOff(frame.suffix(LogFormat.trailer.count), of: LogFormat.trailer)
        let end = offset + Int64(frame.count)
        guard isIncomplete, try scan(from: end, salt: nil).lastNonZero == nil else { throw .damaged(offset: offset) }
        return Int64(frame.count)
    }

    /// Returns whether the bytes are a proper prefix of `expected` and then zeros.
    ///
    /// With `orWhole`: the whole of `expected` counts too.
    private func isCutOff(_ bytes: ArraySlice<UInt8>, of expected: [UInt8], orWhole: Bool = false) -> Bool {
        let there = bytes.prefix { $0 != 0 }
        return expected.starts(with: there) && bytes.dropFirst(there.count).allSatisfy { $0 == 0 }
            && (orWhole || there.count < expected.count)
    }

    /// Scans the rest of the file for bytes other than zero and for valid frame headers if `salt` is not `nil`.
    private func scan(from start: Int64, salt: UInt64?) throws(Failure) -> (lastNonZero: Int64?, hasFrame: Bool) {
        var lastNonZero: Int64?
        var offset = start
        while offset < size {
            let piece = try read(offset, 128 * LogFormat.sectorSize)
            if piece.isEmpty { break }
            if let last = piece.lastIndex(where: { $0 != 0 }) {
                lastNonZero = offset + Int64(last)
                for position in stride(from: 0, to: piece.count, by: LogFormat.sectorSize) {
                    let head = Array(piece[position...].prefix(LogFormat.frameHeaderSize))
                    if let salt, FrameHeader(head, salt: salt, offset: offset + Int64(position)) != nil {
                        return (lastNonZero, true)
                    }
                }
            }
            offset += Int64(piece.count)
        }
        return (lastNonZero, false)
    }

    private func read(_ offset: Int64, _ count: Int) throws(Failure) -> [UInt8] {
        do throws(FileSystemError) { return try source(offset, count) } catch { throw .fileSystem(error) }
    }
}

extension ByteReader {
    mutating func content(_ kind: FrameHeader.Kind) throws(MalformedBytes) -> FrameContent {
        switch kind {
        case .mutations: return .mutations(try mutations())
        case .manifest: return .manifest(try manifest())
        case .checkpoint: return .checkpoint(try checkpoint())
        case .roll: return .roll(try segmentID())
        case .seal:
            guard isAtEnd else { throw MalformedBytes() }
            return .seal
        }
    }
}

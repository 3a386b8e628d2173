package import ReliabilityStore

/// What a log said.
package struct LogContents: Hashable, Sendable {
    package var frames = 0
    package var bytes: Int64 = 0
    package var droppedTailBytes: Int64 = 0
    package var isSealed = false
    package var moment = LogMoment(clock: .min, nextVersion: 1)
    package init() {}
}

/// Reads a log from its beginning, and tells a write that a crash cut off from damage.
///
/// A frame is written only after everything before it is durable. So a frame that is not right
///
/// - is *damage* when it lies before the floor, or when a frame that is right follows it: it had been acknowledged;
/// - was *cut off*, and acknowledged to nobody, when a part of it is missing: it has more zero sectors than it should
///   have, or it ends in zeros where its header or its body should go on, and nothing follows it;
/// - is *damage* in every other case, for a crash leaves each sector as it was or as it should be.
package struct LogReader {
    /// Reads bytes of the file: fewer than asked for where it ends.
    package typealias Source = (_ offset: Int64, _ count: Int) throws(FileSystemError) -> [UInt8]

    package enum Failure: Error {
        case damaged(offset: Int64)
        case unknownFormat(UInt32)
        case fileSystem(FileSystemError)
    }

    private let size: Int64
    private let source: Source

    package init(size: Int64, source: @escaping Source) {
        self.size = size
        self.source = source
    }

    /// Reads all frames.
    ///
    /// - Parameter apply: Takes each frame's mutations, in order.
    /// - Returns: What was read, and what was dropped.
    /// - Throws: ``Failure``.
    package func replay(_ apply: ([StoreMutation]) -> Void) throws(Failure) -> LogContents {
        let fileHeader = try readFileHeader()
        var contents = LogContents()
        var offset = Int64(LogFormat.sectorSize)
        while offset < size {
            let sector = try read(offset, LogFormat.sectorSize)
            guard let header = FrameHeader(sector, salt: fileHeader.salt, offset: offset) else {
                if offset < fileHeader.floor { throw .damaged(offset: offset) }
                contents.droppedTailBytes = try droppedBytes(ofFrameWithoutHeader: sector, offset, fileHeader.salt)
                return contents
            }
            let frame = try readFrame(header, offset)
            guard FrameHeader.bodyChecksum(frame, fileHeader.salt, offset) == header.bodyChecksum else {
                if offset < fileHeader.floor { throw .damaged(offset: offset) }
                contents.droppedTailBytes = try droppedBytes(of: frame, header, offset)
                return contents
            }
            guard header.number == UInt64(contents.frames), header.moment.nextVersion < versionLimit,
                header.moment.clock >= contents.moment.clock,
                let mutations = mutations(of: frame, header)
            else { throw .damaged(offset: offset) }
            apply(mutations)
            offset += Int64(frame.count)
            contents.frames += 1
            contents.bytes = offset
            contents.moment = header.moment
            if header.kind == .seal {
                contents.isSealed = true
                if let end = try scan(from: offset, salt: nil).lastNonZero { throw .damaged(offset: end) }
                return contents
            }
        }
        return contents
    }

    private func mutations(of frame: [UInt8], _ header: FrameHeader) -> [StoreMutation]? {
        let start = LogFormat.frameHeaderSize
        var reader = ByteReader(frame, start..<start + Int(header.payloadLength))
        return try? reader.mutations()
    }

    private func readFileHeader() throws(Failure) -> FileHeader {
        let bytes = try read(0, LogFormat.sectorSize)
        let header: FileHeader
        do throws(FileHeader.Failure) {
            header = try FileHeader(decoding: bytes)
        } catch {
            switch error {
            case .damaged: throw .damaged(offset: 0)
            case .unknownFormat(let version): throw .unknownFormat(version)
            }
        }
        guard size >= header.reservedEnd, size >= header.floor else { throw .damaged(offset: size) }
        return header
    }

    /// The bytes of a frame whose header is right.
    private func readFrame(_ header: FrameHeader, _ offset: Int64) throws(Failure) -> [UInt8] {
        // The file was this long when the frame was written: what is missing now was cut off since.
        if size < header.reservedEnd { throw .damaged(offset: size) }
        guard header.payloadLength <= LogFormat.maximumPayload else { throw .damaged(offset: offset) }
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
            // Nothing was written here, or the frame's first sector is missing and others may be there.
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

    /// Whether the bytes begin as `mark` does and go on with zeros before its end.
    private func isCutOff(_ bytes: ArraySlice<UInt8>, of mark: [UInt8], orWhole: Bool = false) -> Bool {
        let there = bytes.prefix { $0 != 0 }
        return mark.starts(with: there) && bytes.dropFirst(there.count).allSatisfy { $0 == 0 }
            && (orWhole || there.count < mark.count)
    }

    /// Looks at the rest of the file, sector by sector: for frame headers too, when a salt is given.
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

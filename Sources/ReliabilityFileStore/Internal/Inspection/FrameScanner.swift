internal import ReliabilityStore

/// Reads the intact frames of a file and continues after damage.
///
/// The checksums of a frame contain the salt of the file and the offset, so bytes of another file or place never count
/// as a frame. The numbers of the frames show how many frames are lost between two intact frames.
struct FrameScanner {
    struct Frame {
        let offset: Int64
        let end: Int64
        let position: LogPosition
        let content: FrameContent

        /// A Boolean value that indicates whether no frame follows in the file.
        var isEnd: Bool {
            switch content {
            case .seal, .roll: true
            case .mutations, .manifest, .checkpoint: false
            }
        }
    }

    enum Part {
        case frame(Frame)
        /// Bytes without a valid frame, and the number of lost frames if a frame follows.
        case gap(Range<Int64>, lostFrames: UInt64?)
    }

    private let size: Int64
    private let source: LogReader.Source
    private var window: [UInt8] = []
    private var windowStart: Int64 = 0

    init(size: Int64, source: @escaping LogReader.Source) {
        self.size = size
        self.source = source
    }

    /// Reads all intact frames.
    ///
    /// - Parameters:
    ///   - salt: The salt of the file.
    ///   - limit: The known end of the frames, or `nil` if the frames end at a seal, at a roll frame or at zeros.
    /// - Returns: The frames and the gaps in the order of the file.
    /// - Throws: The error of a call to the file system.
    mutating func parts(salt: UInt64, upTo limit: Int64?) throws(FileSystemError) -> [Part] {
        var parts: [Part] = []
        var expected: UInt64 = 0
        var offset = Int64(LogFormat.sectorSize)
        var gap: Int64?
        let end = min(limit ?? size, size)
        while offset < end {
            guard let (frame, number) = try frame(at: offset, salt), number >= expected else {
                gap = gap ?? offset
                offset += Int64(LogFormat.sectorSize)
                continue
            }
            if gap != nil || number > expected {
                parts.append(.gap((gap ?? offset)..<offset, lostFrames: number - expected))
                gap = nil
            }
            parts.append(.frame(frame))
            (expected, offset) = (number + 1, frame.end)
            if frame.isEnd { return parts }
        }
        if let limit {
            if offset < limit || gap != nil { parts.append(.gap((gap ?? offset)..<limit, lostFrames: nil)) }
        } else if let gap, let last = try lastNonZero(from: gap) {
            parts.append(.gap(gap..<last + 1, lostFrames: nil))
        }
        return parts
    }

    /// Returns the frame at an offset and its number, or `nil` if there is no intact frame.
    private mutating func frame(at offset: Int64, _ salt: UInt64) throws(FileSystemError) -> (Frame, UInt64)? {
        let head = try bytes(at: offset, LogFormat.frameHeaderSize)
        guard head.first == LogFormat.frameMagic[0],
            let header = FrameHeader(Array(head), salt: salt, offset: offset),
            header.payloadLength <= LogFormat.maxPayload, header.position.nextVersion < versionLimit,
            header.number < .max
        else { return nil }
        let count = LogFormat.frameSize(payload: Int(header.payloadLength))
        guard Int64(count) <= size - offset else { return nil }
        let frame = Array(try bytes(at: offset, count))
        let start = LogFormat.frameHeaderSize
        guard frame.count == count, FrameHeader.bodyChecksum(frame, salt, offset) == header.bodyChecksum else {
            return nil
        }
        var reader = ByteReader(frame, start..<start + Int(header.payloadLength))
        guard let content = try? reader.content(header.kind) else { return nil }
        let end = offset + Int64(count)
        return (Frame(offset: offset, end: end, position: header.position, content: content), header.number)
    }

    private mutating func lastNonZero(from start: Int64) throws(FileSystemError) -> Int64? {
        var last: Int64?
        var offset = start
        while offset < size {
            let piece = try bytes(at: offset, Self.windowSize)
            if piece.isEmpty { break }
            if let index = piece.lastIndex(where: { $0 != 0 }) { last = offset + Int64(index - piece.startIndex) }
            offset += Int64(piece.count)
        }
        return last
    }

    /// Returns bytes from a window of the file that moves forward.
    private mutating func bytes(at offset: Int64, _ count: Int) throws(FileSystemError) -> ArraySlice<UInt8> {
        let isInWindow = offset >= windowStart && offset + Int64(count) <= windowStart + Int64(window.count)
        if !isInWindow {
            window = try source(offset, max(count, Self.windowSize))
            windowStart = offset
        }
        let start = Int(offset - windowStart)
        return window[start..<min(start + count, window.count)]
    }

    private static let windowSize = 1 << 20
}

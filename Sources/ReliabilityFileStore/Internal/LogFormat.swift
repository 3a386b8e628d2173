package import ReliabilityStore

/// The layout of the files in format 2.
///
/// A store has *segments* and *checkpoint files*. The segments form one log. A checkpoint file holds the content of one
/// range of keys. Both begin with a file header of one sector. Frames follow, padded to whole sectors. In a segment,
/// zeros fill the rest of the file. The zeros are written and synced before a frame replaces them. A frame therefore
/// never changes the size of the file, and a sector that did not reach the disk reads as zeros. Numbers are
/// little-endian.
///
/// File header:
///
/// ```text
/// 0   8  "RELIALOG"
/// 8   4  CRC-32C of bytes 12 to 511
/// 12  4  format
/// 16  8  salt: a random number that every frame checksum of this file includes
/// 24  8  floor: all bytes before this offset were durable before the file was used
/// 32  8  reserved end: the file is at least this long
/// 40  8  store: a random number that all files of a store have
/// 48  8  number of the file, as in its name
/// 56  8  number of the previous segment, or 0 for none
/// 64  8  salt of the previous segment
/// 72  8  end of the previous segment, or 0 if the previous segment ends with a roll frame
/// 80  4  kind: 1 segment, 2 checkpoint file
/// 84     zeros
/// ```
///
/// Frame:
///
/// ```text
/// 0   4  "RSF1"
/// 4   4  CRC-32C of salt, offset of the frame, and bytes 8 to 63
/// 8   8  length of the payload
/// 16  4  CRC-32C of salt, offset of the frame, and bytes 64 to the frame's end
/// 20  4  number of the frame's sectors that contain only zeros
/// 24  8  index of the frame in this file, from 0
/// 32  8  the store's clock, in nanoseconds since 1970
/// 40  8  the version of the next change
/// 48  8  reserved end: the file is at least this long
/// 56  4  kind: see `FrameHeader.Kind`
/// 60  4  end mark
/// 64     payload, zeros, and in the last 8 bytes the trailer
/// ```
package enum LogFormat {
    /// The only log of a store in format 1.
    package static let firstFormatName = "log"
    package static let firstFormatTemporaryName = "log.tmp"
    package static let lockName = "LOCK"
    /// A file of zeros whose space is released when the disk is full.
    package static let reserveName = "reserve"

    package static let version: UInt32 = 2
    /// The size of a sector in bytes.
    ///
    /// A disk writes a sector as a whole or not at all.
    package static let sectorSize = 512
    package static let frameHeaderSize = 64

    static let fileMagic = Array("RELIALOG".utf8)
    package static let frameMagic = Array("RSF1".utf8)
    // No byte of the end mark or the trailer is zero or one bit away from zero. A partial mark was therefore cut off.
    package static let endMark: [UInt8] = [0xE5, 0x5A, 0xA7, 0x3C]
    static let trailer: [UInt8] = [0x5E, 0xA1, 0xED, 0x77, 0xD6, 0x3B, 0x9C, 0xE7]

    /// An upper bound of a payload.
    ///
    /// A full batch plus the largest commit needs one eighth of this size.
    package static let maxPayload = 1 << 30

    /// Returns the size of a frame with a payload of `count` bytes.
    package static func frameSize(payload count: Int) -> Int {
        let size = frameHeaderSize + count + trailer.count
        return (size + sectorSize - 1) / sectorSize * sectorSize
    }

    static let sealSize = frameSize(payload: 0)

    /// The space that a segment keeps for the frame of a checkpoint and for its last frame.
    static let tailReserve = frameSize(payload: 2560) + sealSize

    /// Returns the name of a segment or a checkpoint file.
    package static func name(_ kind: FileHeader.Kind, _ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return prefix(kind) + String(repeating: "0", count: max(0, 16 - digits.utf8.count)) + digits
    }

    /// Returns the number in the name of a segment or a checkpoint file, or `nil` for another name.
    package static func number(_ kind: FileHeader.Kind, inName name: String) -> UInt64? {
        guard name.hasPrefix(prefix(kind)), let number = UInt64(name.dropFirst(prefix(kind).utf8.count), radix: 16),
            number <= maxNumber
        else { return nil }
        return self.name(kind, number) == name ? number : nil
    }

    /// An upper bound of the numbers of files.
    package static let maxNumber: UInt64 = 1 << 62

    private static func prefix(_ kind: FileHeader.Kind) -> String {
        switch kind {
        case .segment: "log-"
        case .checkpoint: "checkpoint-"
        }
    }
}

/// The first sector of a file.
package struct FileHeader: Hashable, Sendable {
    package enum Kind: UInt32, Sendable {
        case segment = 1
        case checkpoint = 2
    }

    package var kind = Kind.segment
    package var salt: UInt64
    package var floor: Int64
    package var reservedEnd: Int64
    /// The store's random number, or 0 in format 1.
    package var store: UInt64 = 0
    package var number: UInt64 = 0
    /// The segment before this segment, or `nil` for the first segment.
    package var previous: SegmentEnd?

    package var encoded: [UInt8] {
        var bytes = LogFormat.fileMagic + [UInt8](repeating: 0, count: LogFormat.sectorSize - 8)
        bytes.set(LogFormat.version, at: 12)
        bytes.set(salt, at: 16)
        bytes.set(floor, at: 24)
        bytes.set(reservedEnd, at: 32)
        bytes.set(store, at: 40)
        bytes.set(number, at: 48)
        bytes.set(previous?.segment.number ?? 0, at: 56)
        bytes.set(previous?.segment.salt ?? 0, at: 64)
        bytes.set(previous?.offset ?? 0, at: 72)
        bytes.set(kind.rawValue, at: 80)
        bytes.set(Self.checksum(bytes), at: 8)
        return bytes
    }

    package enum Failure: Error {
        case damaged
        case unknownFormat(UInt32)
    }

    package init(
        _ kind: Kind = .segment,
        salt: UInt64,
        floor: Int64,
        reservedEnd: Int64,
        store: UInt64 = 0,
        number: UInt64 = 0,
        previous: SegmentEnd? = nil
    ) {
        self.kind = kind
        self.salt = salt
        self.floor = floor
        self.reservedEnd = reservedEnd
        self.store = store
        self.number = number
        self.previous = previous
    }

    /// Decodes the header of a file in `format`.
    package init(decoding bytes: [UInt8], format: UInt32 = LogFormat.version) throws(Failure) {
        guard bytes.count == LogFormat.sectorSize, bytes.starts(with: LogFormat.fileMagic),
            bytes.number(at: 8) == Self.checksum(bytes)
        else { throw .damaged }
        let version: UInt32 = bytes.number(at: 12)
        guard version == format else { throw .unknownFormat(version) }
        salt = bytes.number(at: 16)
        floor = bytes.number(at: 24)
        reservedEnd = bytes.number(at: 32)
        if format == 1 { return }
        store = bytes.number(at: 40)
        number = bytes.number(at: 48)
        let segment = SegmentID(number: bytes.number(at: 56), salt: bytes.number(at: 64))
        let offset: Int64 = bytes.number(at: 72)
        if segment.number > 0 { previous = SegmentEnd(segment: segment, offset: offset) }
        guard let kind = Kind(rawValue: bytes.number(at: 80)), offset >= 0 else { throw .damaged }
        self.kind = kind
    }

    package static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var checksum = CRC32C()
        checksum.add(bytes, 12..<bytes.count)
        return checksum.value
    }
}

/// The first 64 bytes of a frame.
package struct FrameHeader {
    package enum Kind: UInt32, Sendable {
        case mutations = 1
        /// The last frame of a store that was closed, or of a checkpoint file.
        case seal = 2
        /// The last frame of a segment that another segment follows.
        case roll = 3
        /// The first frame of a segment: the ranges and their checkpoint files.
        case manifest = 4
        /// A change of the manifest.
        case checkpoint = 5
    }

    package var payloadLength: UInt64
    package var bodyChecksum: UInt32
    package var zeroSectors: UInt32
    package var number: UInt64
    package var position: LogPosition
    package var reservedEnd: Int64
    package var kind: Kind

    /// Decodes a header, or returns `nil` if the bytes are not a valid header for this salt and offset.
    package init?(_ bytes: [UInt8], salt: UInt64, offset: Int64) {
        guard bytes.count >= LogFormat.frameHeaderSize, bytes.starts(with: LogFormat.frameMagic),
            bytes.number(at: 4) == Self.checksum(bytes, salt, offset),
            bytes[60..<64].elementsEqual(LogFormat.endMark),
            let kind = Kind(rawValue: bytes.number(at: 56))
        else { return nil }
        payloadLength = bytes.number(at: 8)
        bodyChecksum = bytes.number(at: 16)
        zeroSectors = bytes.number(at: 20)
        number = bytes.number(at: 24)
        position = LogPosition(clock: bytes.number(at: 32), nextVersion: bytes.number(at: 40))
        reservedEnd = bytes.number(at: 48)
        self.kind = kind
    }

    package static func checksum(_ bytes: [UInt8], _ salt: UInt64, _ offset: Int64) -> UInt32 {
        var checksum = CRC32C()
        checksum.add(salt)
        checksum.add(UInt64(bitPattern: offset))
        checksum.add(bytes, 8..<LogFormat.frameHeaderSize)
        return checksum.value
    }

    package static func bodyChecksum(_ frame: [UInt8], _ salt: UInt64, _ offset: Int64) -> UInt32 {
        var checksum = CRC32C()
        checksum.add(salt)
        checksum.add(UInt64(bitPattern: offset))
        checksum.add(frame, LogFormat.frameHeaderSize..<frame.count)
        return checksum.value
    }

    package static func zeroSectors(in bytes: [UInt8]) -> Int {
        stride(from: 0, to: bytes.count, by: LogFormat.sectorSize)
            .count { bytes.isZero($0..<min($0 + LogFormat.sectorSize, bytes.count)) }
    }
}

/// The identity of a segment.
package struct SegmentID: Hashable, Sendable {
    package var number: UInt64
    package var salt: UInt64

    package init(number: UInt64, salt: UInt64) {
        self.number = number
        self.salt = salt
    }
}

/// The end of a segment that another segment follows.
package struct SegmentEnd: Hashable, Sendable {
    package var segment: SegmentID
    /// The offset up to which the segment is read, or 0 if the segment ends with a roll frame.
    package var offset: Int64

    package init(segment: SegmentID, offset: Int64) {
        self.segment = segment
        self.offset = offset
    }
}

/// The state that every frame records besides the content: the store's clock and the next version.
package struct LogPosition: Hashable, Sendable {
    /// The store's clock in nanoseconds since 1970.
    package var clock: Int64
    /// The version of the next change.
    package var nextVersion: UInt64

    package init(clock: Int64, nextVersion: UInt64) {
        self.clock = clock
        self.nextVersion = nextVersion
    }
}

/// A builder of frames that appends the payload after reserved space for the header.
package struct FrameBuilder: Sendable {
    private var bytes = [UInt8](repeating: 0, count: LogFormat.frameHeaderSize)

    var payloadCount: Int { bytes.count - LogFormat.frameHeaderSize }

    /// The size of the finished frame.
    var frameSize: Int { LogFormat.frameSize(payload: payloadCount) }

    package init() {}

    package init(_ manifest: Manifest) {
        self.init()
        bytes.append(manifest: manifest)
    }

    package init(_ checkpoint: Checkpoint) {
        self.init()
        bytes.append(checkpoint: checkpoint)
    }

    package init(rollTo segment: SegmentID) {
        self.init()
        bytes.append(number: segment.number)
        bytes.append(number: segment.salt)
    }

    package mutating func append(_ mutation: StoreMutation) { bytes.append(mutation: mutation) }

    /// Removes the payload after the first `count` bytes.
    mutating func truncate(toPayload count: Int) { bytes.removeLast(payloadCount - count) }

    /// Returns the finished frame.
    package consuming func finish(
        _ kind: FrameHeader.Kind,
        salt: UInt64,
        offset: Int64,
        number: UInt64,
        position: LogPosition,
        reservedEnd: Int64
    ) -> [UInt8] {
        let payloadLength = UInt64(payloadCount)
        bytes.append(contentsOf: repeatElement(0, count: frameSize - bytes.count - LogFormat.trailer.count))
        bytes.append(contentsOf: LogFormat.trailer)
        for (index, byte) in LogFormat.frameMagic.enumerated() { bytes[index] = byte }
        bytes.set(payloadLength, at: 8)
        bytes.set(FrameHeader.bodyChecksum(bytes, salt, offset), at: 16)
        bytes.set(number, at: 24)
        bytes.set(position.clock, at: 32)
        bytes.set(position.nextVersion, at: 40)
        bytes.set(reservedEnd, at: 48)
        bytes.set(kind.rawValue, at: 56)
        for (index, byte) in LogFormat.endMark.enumerated() { bytes[60 + index] = byte }
        bytes.set(UInt32(truncatingIfNeeded: FrameHeader.zeroSectors(in: bytes)), at: 20)
        bytes.set(FrameHeader.checksum(bytes, salt, offset), at: 4)
        return bytes
    }
}

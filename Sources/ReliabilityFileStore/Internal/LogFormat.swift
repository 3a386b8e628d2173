package import ReliabilityStore

/// The layout of the log file in format 1.
///
/// A file header of one sector comes first. Frames follow, padded to whole sectors. Zeros fill the rest of the
/// file. The zeros are written and synced before a frame replaces them. A frame therefore never changes the size of the
/// file, and a sector that did not reach the disk reads as zeros. Numbers are little-endian.
///
/// File header:
///
/// ```text
/// 0   8  "RELIALOG"
/// 8   4  CRC-32C of bytes 12 to 511
/// 12  4  format
/// 16  8  salt: a random number that every frame checksum of this file includes
/// 24  8  floor: all bytes before this offset were durable before the file got its name
/// 32  8  reserved end: the file is at least this long
/// 40     zeros
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
/// 56  4  kind: 1 mutations, 2 seal (the store was closed, no frame follows)
/// 60  4  end mark
/// 64     payload, zeros, and in the last 8 bytes the trailer
/// ```
package enum LogFormat {
    package static let fileName = "log"
    static let temporaryName = "log.tmp"
    package static let lockName = "LOCK"

    package static let version: UInt32 = 1
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
}

/// The first sector of a log.
package struct FileHeader {
    package var salt: UInt64
    package var floor: Int64
    package var reservedEnd: Int64

    package var encoded: [UInt8] {
        var bytes = LogFormat.fileMagic + [UInt8](repeating: 0, count: LogFormat.sectorSize - 8)
        bytes.set(LogFormat.version, at: 12)
        bytes.set(salt, at: 16)
        bytes.set(floor, at: 24)
        bytes.set(reservedEnd, at: 32)
        bytes.set(Self.checksum(bytes), at: 8)
        return bytes
    }

    package enum Failure: Error {
        case damaged
        case unknownFormat(UInt32)
    }

    package init(salt: UInt64, floor: Int64, reservedEnd: Int64) {
        self.salt = salt
        self.floor = floor
        self.reservedEnd = reservedEnd
    }

    package init(decoding bytes: [UInt8]) throws(Failure) {
        guard bytes.count == LogFormat.sectorSize, bytes.starts(with: LogFormat.fileMagic),
            bytes.number(at: 8) == Self.checksum(bytes)
        else { throw .damaged }
        let version: UInt32 = bytes.number(at: 12)
        guard version == LogFormat.version else { throw .unknownFormat(version) }
        salt = bytes.number(at: 16)
        floor = bytes.number(at: 24)
        reservedEnd = bytes.number(at: 32)
    }

    package static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var checksum = CRC32C()
        checksum.add(bytes, 12..<bytes.count)
        return checksum.value
    }
}

/// The first 64 bytes of a frame.
package struct FrameHeader {
    package enum Kind: UInt32 {
        case mutations = 1
        case seal = 2
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

import ReliabilityStore
import Testing

@testable import ReliabilityFileStore

/// A file with frames of one sector each.
private struct TestFile {
    var header: FileHeader
    var bytes: [UInt8]
    private var frames: UInt64 = 0

    init(floor: Int64 = 512) {
        header = FileHeader(salt: 5, floor: floor, reservedEnd: 512)
        bytes = header.encoded
    }

    mutating func append(_ kind: FrameHeader.Kind, _ frame: FrameBuilder = FrameBuilder(), clock: Int64 = 0) {
        bytes += frame.finish(
            kind,
            salt: header.salt,
            offset: Int64(bytes.count),
            number: frames,
            position: LogPosition(clock: clock, nextVersion: 1),
            reservedEnd: 512
        )
        frames += 1
    }

    mutating func appendZeros(_ sectors: Int = 1) { bytes += [UInt8](repeating: 0, count: 512 * sectors) }

    /// Returns the contents, or the offset of the damage.
    func read(_ extent: LogReader.Extent) -> Result<LogContents, Damaged> {
        let reader = LogReader(size: Int64(bytes.count)) { offset, count in
            Array(bytes.dropFirst(Int(offset)).prefix(count))
        }
        do throws(LogReader.Failure) {
            return .success(try reader.replay(header, extent) { _ in })
        } catch {
            if case .damaged(let offset) = error { return .failure(Damaged(offset: offset)) }
            return .failure(Damaged(offset: -1))
        }
    }

    func frameCount(_ extent: LogReader.Extent) -> Int? { try? read(extent).get().frames }

    func damage(_ extent: LogReader.Extent) -> Int64? {
        if case .failure(let damaged) = read(extent) { return damaged.offset }
        return nil
    }
}

private struct Damaged: Error {
    var offset: Int64
}

private let next = SegmentID(number: 4, salt: 9)

@Suite("LogReader")
struct LogReaderTests {
    @Test("an open file ends at a frame that was cut off")
    func open() {
        var file = TestFile()
        file.append(.mutations)
        file.append(.mutations)
        file.appendZeros(2)
        #expect(file.frameCount(.open) == 2)
        for index in 1024..<1536 { file.bytes[index] = 0 }
        #expect(file.frameCount(.open) == 1)
        file.header.floor = 1536
        #expect(file.damage(.open) == 1024)
    }

    @Test("a file that is read up to an offset ends exactly there")
    func upTo() throws {
        var file = TestFile()
        file.append(.mutations)
        file.append(.mutations)
        file.append(.mutations)
        file.appendZeros()
        #expect(file.frameCount(.upTo(512)) == 0)
        let contents = try file.read(.upTo(1536)).get()
        #expect(contents.frames == 2)
        #expect(contents.bytes == 1536)
        #expect(contents.lastFrame == 1024)
        #expect(file.damage(.upTo(600)) == 1024)
        #expect(file.damage(.upTo(100)) == 512)
        #expect(file.damage(.upTo(4096)) == 2560)
    }

    @Test("bytes after the offset have no meaning")
    func afterOffset() {
        var file = TestFile()
        file.append(.mutations)
        file.append(.mutations)
        file.bytes += [UInt8](repeating: 0xA5, count: 512)
        #expect(file.frameCount(.upTo(1024)) == 1)
        for index in 1024..<file.bytes.count { file.bytes[index] = 0x5A }
        #expect(file.frameCount(.upTo(1024)) == 1)
    }

    @Test("a frame before the offset cannot be cut off")
    func cutBeforeOffset() {
        var file = TestFile()
        file.append(.mutations)
        file.append(.mutations)
        for index in 1024..<1536 { file.bytes[index] = 0 }
        #expect(file.damage(.upTo(1536)) == 1024)
    }

    @Test("a seal or a roll frame before the offset is damage")
    func endBeforeOffset() {
        for kind in [FrameHeader.Kind.seal, .roll] {
            var file = TestFile()
            file.append(.mutations)
            file.append(kind, kind == .roll ? FrameBuilder(rollTo: next) : FrameBuilder())
            file.append(.mutations)
            file.appendZeros()
            #expect(file.damage(.upTo(2048)) == 1536)
            #expect(file.frameCount(.upTo(1024)) == 1)
        }
    }

    @Test("a segment that another segment follows ends with a roll frame for that segment")
    func rolled() throws {
        var file = TestFile()
        file.append(.mutations)
        #expect(file.damage(.rolled(next)) == 1024)
        file.append(.roll, FrameBuilder(rollTo: next))
        file.appendZeros()
        #expect(file.frameCount(.rolled(next)) == 2)
        #expect(try file.read(.open).get().next == next)
        #expect(file.damage(.rolled(SegmentID(number: 4, salt: 8))) == 1536)
        #expect(file.damage(.rolled(SegmentID(number: 5, salt: 9))) == 1536)
        // A roll frame that looks cut off is damage, because the next segment was in use.
        for index in 1024..<1536 { file.bytes[index] = 0 }
        #expect(file.damage(.rolled(next)) == 1024)
    }

    @Test("only zeros follow a seal or a roll frame")
    func zerosAfterEnd() {
        for kind in [FrameHeader.Kind.seal, .roll] {
            var file = TestFile()
            file.append(kind, kind == .roll ? FrameBuilder(rollTo: next) : FrameBuilder())
            file.appendZeros()
            #expect(file.frameCount(.open) == 1)
            file.bytes[1100] = 1
            #expect(file.damage(.open) == 1100)
        }
    }

    @Test("a checkpoint file ends with a seal at its floor and its size")
    func sealed() {
        var file = TestFile()
        file.append(.mutations)
        #expect(file.damage(.sealed) == 1024)
        file.append(.seal)
        file.header.floor = 1536
        #expect(file.frameCount(.sealed) == 2)
        file.header.floor = 1024
        #expect(file.damage(.sealed) == 1536)
        file.header.floor = 1536
        file.appendZeros()
        #expect(file.damage(.sealed) == 1536)
    }

    @Test("a clock that is set back between frames is damage")
    func clock() {
        var file = TestFile()
        file.append(.mutations, clock: 5)
        file.append(.mutations, clock: 4)
        #expect(file.damage(.open) == 1024)
    }

    @Test(
        "a payload that is not valid for its kind is damage",
        arguments: [FrameHeader.Kind.seal, .roll, .manifest, .checkpoint]
    )
    func payload(_ kind: FrameHeader.Kind) {
        var file = TestFile()
        var frame = FrameBuilder()
        frame.append(.remove(StoreKey("k")))
        file.append(kind, frame)
        #expect(file.damage(.open) == 512)
    }

    @Test("names and numbers of files belong together")
    func names() {
        #expect(LogFormat.name(.segment, 0x1F) == "log-000000000000001f")
        #expect(LogFormat.number(.segment, inName: "log-000000000000001f") == 0x1F)
        #expect(LogFormat.number(.checkpoint, inName: "checkpoint-000000000000001f") == 0x1F)
        let others = [
            "log-1f", "log-000000000000001F", "log-+00000000000001f", "log-ffffffffffffffff", "log", "log-",
            "log-000000000000001f ", "checkpoint-000000000000001f",
        ]
        for name in others { #expect(LogFormat.number(.segment, inName: name) == nil, "\(name)") }
    }
}

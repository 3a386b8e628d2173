import ReliabilityCore
import ReliabilityStore
import StoreSimulation
import Testing

@testable import ReliabilityFileStore

/// The bytes of LOCK with a segment in use.
private func lock(_ number: UInt64) -> [UInt8] {
    func digits(_ number: UInt64, _ count: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: count - digits.utf8.count) + digits
    }
    let line = "segment " + digits(number, 16)
    var checksum = CRC32C()
    checksum.add(Array(line.utf8), 0..<line.utf8.count)
    return Array("1              \nhas a log\n\(line) \(digits(UInt64(checksum.value), 8))\n".utf8)
}

/// A segment with a manifest and, optionally, a roll frame.
private func segment(
    _ id: SegmentID,
    firstSegment: UInt64,
    after previous: SegmentEnd? = nil,
    next: SegmentID? = nil
) -> [UInt8] {
    let header = FileHeader(
        salt: id.salt,
        floor: 512,
        reservedEnd: 2048,
        store: 1,
        number: id.number,
        previous: previous
    )
    var bytes = header.encoded
    func append(_ frame: FrameBuilder, _ kind: FrameHeader.Kind, _ number: UInt64) {
        bytes += frame.finish(
            kind,
            salt: id.salt,
            offset: Int64(bytes.count),
            number: number,
            position: LogPosition(clock: 0, nextVersion: 1),
            reservedEnd: 512
        )
    }
    append(FrameBuilder(Manifest(firstSegment: firstSegment)), .manifest, 0)
    if let next { append(FrameBuilder(rollTo: next), .roll, 1) }
    return bytes + [UInt8](repeating: 0, count: 2048 - bytes.count)
}

private func rejection(_ files: [String: [UInt8]]) -> StoreError.Reason? {
    do throws(StoreError) {
        _ = try StoreReading(files)
        return nil
    } catch {
        return error.reason
    }
}

private func name(_ number: UInt64) -> String { LogFormat.name(.segment, number) }

@Suite("Files of a store")
struct StoreFilesTests {
    @Test("a crash during the first opening leaves a store without content")
    func firstOpening() throws {
        let fileSystem = SimulatedFileSystem(seed: 4)
        fileSystem.keepsSnapshots = true
        _ = try SimulatedStore(fileSystem, unixTime: StoreImage.day, tuning: StoreImage.tuning)
        var states = 0
        for (number, disk) in fileSystem.snapshots.enumerated() {
            for choice in disk.crashChoices(randomSubsets: 8, seed: UInt64(number)) where !choice.mayBeRejected {
                let again = SimulatedFileSystem(seed: UInt64(number), disk.crashed(choice))
                let store = try SimulatedStore(again, unixTime: StoreImage.day, tuning: StoreImage.tuning)
                #expect(store.content.entries.isEmpty, "\(choice) of change \(number)")
                #expect(Set(again.disk.names.map(\.name)) == store.neededFileNames.union(["LOCK"]))
                states += 1
            }
        }
        #expect(states > 100)
    }

    @Test("a roll frame to an earlier segment is damage")
    func rollBack() {
        let ids = (1...2).map { SegmentID(number: $0, salt: $0 + 10) }
        let files = [
            name(1): segment(ids[0], firstSegment: 1, next: ids[1]),
            name(2): segment(ids[1], firstSegment: 1, after: SegmentEnd(segment: ids[0], offset: 0), next: ids[0]),
            LogFormat.lockName: lock(1),
        ]
        #expect(rejection(files) == .corruption(file: name(2), offset: 1024))
    }

    @Test("a previous segment with a higher number is damage")
    func previousAhead() {
        let ids = [3, 5].map { SegmentID(number: $0, salt: $0 + 10) }
        let files = [
            name(3): segment(ids[0], firstSegment: 1, after: SegmentEnd(segment: ids[1], offset: 512)),
            name(5): segment(ids[1], firstSegment: 1, after: SegmentEnd(segment: ids[0], offset: 512)),
            LogFormat.lockName: lock(3),
        ]
        #expect(rejection(files) == .corruption(file: name(1), offset: 0))
    }

    @Test("a lost roll frame is damage if the next segment was used")
    func lostRoll() {
        let ids = (1...3).map { SegmentID(number: $0, salt: $0 + 10) }
        let end = SegmentEnd(segment: ids[0], offset: 0)
        var files = [
            name(1): segment(ids[0], firstSegment: 1),
            name(2): segment(ids[1], firstSegment: 1, after: end),
            LogFormat.lockName: lock(1),
        ]
        // The manifest alone may be in a prepared segment.
        #expect(rejection(files) == nil)
        files[name(2)] = segment(ids[1], firstSegment: 1, after: end, next: ids[2])
        #expect(rejection(files) == .corruption(file: name(1), offset: 1024))
        // The prepared segment of another file has no meaning.
        let other = SegmentEnd(segment: SegmentID(number: 1, salt: 1), offset: 0)
        files[name(2)] = segment(ids[1], firstSegment: 1, after: other, next: ids[2])
        #expect(rejection(files) == nil)
    }

    @Test("a prepared segment is not in use without LOCK", arguments: [true, false])
    func prepared(_ hasRolled: Bool) throws {
        let ids = (1...2).map { SegmentID(number: $0, salt: $0 + 10) }
        let files = [
            name(1): segment(ids[0], firstSegment: 1, next: hasRolled ? ids[1] : nil),
            name(2): segment(ids[1], firstSegment: 1, after: SegmentEnd(segment: ids[0], offset: 0)),
        ]
        #expect(try StoreReading(files).lastName == name(hasRolled ? 2 : 1))
    }
}

import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import ReliabilityFileStore

private func place(_ byte: UInt8) -> ContentKey { ContentKey(bytes: [byte]) }

private func range(_ start: ContentKey, _ number: UInt64) -> CheckpointRange {
    CheckpointRange(start: start, number: number, salt: number + 100, size: 1024, firstSegment: number)
}

private func manifest(_ checkpoints: [(start: ContentKey, end: ContentKey?, number: UInt64)]) -> Manifest {
    var manifest = Manifest(firstSegment: 1)
    for checkpoint in checkpoints {
        manifest.install(Checkpoint(range(checkpoint.start, checkpoint.number), end: checkpoint.end))
    }
    return manifest
}

/// The number of the file that holds a place.
private func number(at place: ContentKey, in manifest: Manifest) -> UInt64? {
    manifest.ranges.last { $0.start <= place }?.number
}

@Suite("Manifest")
struct ManifestTests {
    @Test("a checkpoint of all content covers every range")
    func coverAll() {
        var old = manifest([(.start, place(5), 1), (place(5), nil, 2)])
        old.install(Checkpoint(range(.start, 3), end: nil))
        #expect(old.ranges == [range(.start, 3)])
        #expect(old.files == [3])
        #expect(old.end(of: 0) == nil)
    }

    @Test("a checkpoint replaces the ranges inside of it")
    func cover() {
        var old = manifest([(.start, place(2), 1), (place(2), place(4), 2), (place(4), nil, 3)])
        old.install(Checkpoint(range(place(2), 4), end: place(4)))
        #expect(old.ranges == [range(.start, 1), range(place(2), 4), range(place(4), 3)])
    }

    @Test("a range that a checkpoint covers in part keeps its rest")
    func trim() {
        var old = manifest([(.start, nil, 1)])
        old.install(Checkpoint(range(.start, 2), end: place(3)))
        #expect(old.ranges == [range(.start, 2), range(place(3), 1)])
        #expect(old.end(of: 0) == place(3))
        old.install(Checkpoint(range(place(1), 3), end: nil))
        #expect(old.ranges == [range(.start, 2), range(place(1), 3)])
    }

    @Test("a checkpoint inside of a range splits the range")
    func split() {
        var old = manifest([(.start, nil, 1)])
        old.install(Checkpoint(range(place(2), 2), end: place(4)))
        #expect(old.ranges == [range(.start, 1), range(place(2), 2), range(place(4), 1)])
        #expect(old.files == [1, 2])
    }

    @Test("the first segment is the least of all ranges")
    func firstSegment() {
        let ranges = manifest([(.start, place(3), 7), (place(3), place(5), 4), (place(5), nil, 9)])
        #expect(ranges.firstSegment == 4)
        #expect(Manifest(firstSegment: 3).firstSegment == 3)
        #expect(Manifest(firstSegment: 3).files.isEmpty)
    }

    @Test("every place belongs to the newest checkpoint that covers it")
    func random() {
        for seed in UInt64(0)..<300 {
            var generator = SeededGenerator(seed: seed)
            var manifest = Manifest(firstSegment: 1)
            var expected = [UInt64](repeating: 0, count: 20)
            for number in UInt64(1)...8 {
                let start = Int.random(in: 0..<20, using: &generator)
                let end = Int.random(in: start + 1...20, using: &generator)
                for index in start..<end { expected[index] = number }
                let first = start == 0 ? ContentKey.start : place(UInt8(start))
                manifest.install(Checkpoint(range(first, number), end: end == 20 ? nil : place(UInt8(end))))
            }
            let found = (0..<20).map { number(at: place(UInt8($0)), in: manifest) }
            #expect(found == expected, "seed \(seed)")
            #expect(zip(manifest.ranges, manifest.ranges.dropFirst()).allSatisfy { $0.start < $1.start })
            var bytes: [UInt8] = []
            bytes.append(manifest: manifest)
            var reader = ByteReader(bytes, 0..<bytes.count)
            #expect((try? reader.manifest()) == manifest, "seed \(seed)")
        }
    }

    @Test("checkpoints are read as they were written", arguments: [nil, ContentKey(bytes: [0, 5])])
    func checkpoint(_ end: ContentKey?) throws {
        let checkpoint = Checkpoint(
            CheckpointRange(start: place(0), number: 1 << 62, salt: .max, size: .max, firstSegment: 1 << 62),
            end: end
        )
        var bytes: [UInt8] = []
        bytes.append(checkpoint: checkpoint)
        var reader = ByteReader(bytes, 0..<bytes.count)
        #expect(try reader.checkpoint() == checkpoint)
    }

    @Test("every shortened or extended encoding is rejected")
    func malformed() {
        var bytes: [UInt8] = []
        bytes.append(manifest: manifest([(.start, place(3), 1), (place(3), nil, 2)]))
        var checkpoint: [UInt8] = []
        checkpoint.append(checkpoint: Checkpoint(range(place(1), 1), end: place(2)))
        for (bytes, isManifest) in [(bytes, true), (checkpoint, false)] {
            for count in 0...bytes.count + 1 where count != bytes.count {
                let part = Array((bytes + [0]).prefix(count))
                var reader = ByteReader(part, 0..<part.count)
                #expect(throws: MalformedBytes.self) {
                    if isManifest { _ = try reader.manifest() } else { _ = try reader.checkpoint() }
                }
            }
        }
    }

    @Test("ranges that are out of order or do not cover the content are rejected")
    func order() {
        func encoded(_ starts: [ContentKey]) -> [UInt8] {
            var bytes: [UInt8] = []
            bytes.append(number: UInt64(starts.count))
            for start in starts {
                for _ in 0..<4 { bytes.append(number: UInt64(1)) }
                bytes.append(counted: start.bytes)
            }
            return bytes
        }
        for starts in [[], [place(1)], [.start, .start], [.start, place(2), place(1)], [.start, place(2), place(2)]] {
            let bytes = encoded(starts)
            var reader = ByteReader(bytes, 0..<bytes.count)
            #expect(throws: MalformedBytes.self) { _ = try reader.manifest() }
        }
        var bytes: [UInt8] = []
        bytes.append(checkpoint: Checkpoint(range(place(2), 1), end: place(2)))
        var reader = ByteReader(bytes, 0..<bytes.count)
        #expect(throws: MalformedBytes.self) { _ = try reader.checkpoint() }
        // Numbers and sizes that no writer writes.
        let valid = encoded([.start])
        for (offset, number) in [(8, UInt64(0)), (8, 1 << 62 + 1), (24, .max), (32, 1 << 62 + 1)] {
            var bytes = valid
            bytes.set(number, at: offset)
            reader = ByteReader(bytes, 0..<bytes.count)
            #expect(throws: MalformedBytes.self) { _ = try reader.manifest() }
        }
        var huge = valid
        huge.set(UInt64.max, at: 0)
        reader = ByteReader(huge, 0..<huge.count)
        #expect(throws: MalformedBytes.self) { _ = try reader.manifest() }
    }
}

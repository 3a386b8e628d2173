import ReliabilityCore
import ReliabilityStore
import StoreSimulation
import Testing

@testable import ReliabilityFileStore

/// The rules by which the content of a damaged store is put together.
@Suite("DamagedStoreReader")
struct DamagedStoreReaderTests {
    private func inspection(_ disk: SimulatedDisk) throws(StoreError) -> StoreInspection {
        try StoreInspection(reading: "store", fileSystem: SimulatedFileSystem(disk))
    }

    private func values(_ inspection: StoreInspection) -> [StoreKey: [UInt8]] {
        var values: [StoreKey: [UInt8]] = [:]
        for case .put(let key, let entry) in inspection.content { values[key] = entry.value }
        return values
    }

    private func put(_ name: String, _ value: UInt8) -> WorkloadOperation {
        .commit([.put(key(name), [value], .never, if: .any)], [])
    }

    private func files(_ disk: SimulatedDisk) -> [String: [UInt8]] {
        Dictionary(uniqueKeysWithValues: disk.names.map { ($0.name, disk.bytes(of: $0.name) ?? []) })
    }

    /// Damages the frames of a segment that a closure chooses.
    private func damage(
        _ name: String,
        _ files: inout [String: [UInt8]],
        _ isChosen: (FrameContent) -> Bool
    ) throws {
        let bytes = try #require(files[name])
        let header = try FileHeader(decoding: Array(bytes.prefix(512)))
        var scanner = FrameScanner(size: Int64(bytes.count)) { offset, count throws(FileSystemError) in
            Array(bytes.dropFirst(Int(offset)).prefix(count))
        }
        for case .frame(let frame) in try scanner.parts(salt: header.salt, upTo: nil) where isChosen(frame.content) {
            files[name]?[Int(frame.offset) + 70] ^= 1
        }
    }

    @Test("a file with a damaged header is read with the salt that another file states")
    func damagedHeaders() throws {
        let image = try #require(StoreImage.named("rolled"))
        let reading = try StoreReading(image.files)
        for name in image.neededNames where name != image.lastName {
            var files = image.files
            files[name]?[20] ^= 1
            let found = try inspection(SimulatedDisk(files))
            #expect(found.problem?.reason == .corruption(file: name, offset: 0))
            #expect(found.findings == [DamageFinding(file: name, reason: .header, range: 0..<512, lostFrames: 0)])
            #expect(StoreContent(snapshot: found.content, now: found.position.clock) == reading.content)
            #expect(found.uncertainItems == 0)
        }
    }

    @Test("a checkpoint file without its manifest is read, and an older change never replaces a newer entry")
    func lostManifest() throws {
        let fileSystem = SimulatedFileSystem()
        var tuning = LogTuning(growth: 16_384, compactionMinimum: 1 << 30)
        var store = try SimulatedStore(fileSystem, unixTime: StoreImage.day, tuning: tuning)
        for operation in [put("old", 1), put("changed", 1), put("again", 1)] { _ = store.call(operation) }
        _ = store.call(.commit([.delete(key("again"), if: .any)], []))
        for operation in [put("changed", 2), put("again", 2)] { _ = store.call(operation) }
        store.close()
        // The compaction of the next owner puts everything in checkpoint files.
        tuning.compactionMinimum = 0
        store = try SimulatedStore(fileSystem.restarted(), unixTime: StoreImage.day, tuning: tuning)
        for number in 0..<40 { _ = store.call(put("filler", UInt8(number))) }
        store.settle()
        let name = store.logName
        var files = files(store.fileSystem.disk)
        #expect(files.keys.contains { $0.hasPrefix("checkpoint-") })
        store.close()

        // The manifest is lost, and so are the frames with the newest changes.
        files[LogFormat.name(.segment, 1)] = fileSystem.disk.bytes(of: LogFormat.name(.segment, 1))
        try damage(name, &files) { if case .checkpoint = $0 { true } else { false } }
        try damage(LogFormat.name(.segment, 1), &files) { content in
            guard case .mutations(let mutations) = content, case .put(_, let entry)? = mutations.first else {
                return false
            }
            return entry.value == [2]
        }
        let found = try inspection(SimulatedDisk(files))
        #expect(found.problem != nil)
        let values = values(found)
        #expect(values[key("old")] == [1] && values[key("changed")] == [2] && values[key("again")] == [2])
        #expect(found.uncertainItems >= 3)

        files[LogFormat.name(.segment, 1)] = nil
        #expect(self.values(try inspection(SimulatedDisk(files)))[key("old")] == [1])
    }

    @Test("changes before an intact checkpoint are not applied again")
    func changesBeforeCheckpoint() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try StoreDirectory(newAt: "store", fileSystem)
        var first = try directory.create(.segment, 1, of: 7)
        var second = try directory.create(.segment, 2, of: 7, after: SegmentEnd(segment: first.id, offset: 0))
        let manifest = Manifest(firstSegment: 1)
        func mutations(_ mutations: [StoreMutation]) -> FrameBuilder {
            var frame = FrameBuilder()
            for mutation in mutations { frame.append(mutation) }
            return frame
        }
        let position = LogPosition(clock: StoreImage.day, nextVersion: 9)
        try first.write(FrameBuilder(manifest), .manifest, position)
        let entry = StoredEntry(value: [1], version: 1, expiresAt: nil)
        try first.write(mutations([.put(key("a"), entry), .put(key("z"), entry)]), .mutations, position)
        try first.write(FrameBuilder(rollTo: second.id), .roll, position)
        try first.finish(zerosTo: 0)
        // The checkpoint has no content up to "z", because the removal of "a" came before.
        let range = CheckpointRange(start: .start, number: 0, salt: 0, size: 0, firstSegment: 2)
        let end = StoreMutation.remove(key("z")).contentKey
        try second.write(FrameBuilder(manifest), .manifest, position)
        try second.write(mutations([.remove(key("a"))]), .mutations, position)
        try second.write(FrameBuilder(Checkpoint(range, end: end)), .checkpoint, position)
        try second.finish(zerosTo: 0)
        try directory.writeMark(2)
        first.close()
        second.close()
        directory.close()
        var files = files(fileSystem.disk)
        #expect(values(try inspection(SimulatedDisk(files))) == [key("z"): [1]])
        try damage(LogFormat.name(.segment, 2), &files) { if case .mutations = $0 { true } else { false } }
        let found = try inspection(SimulatedDisk(files))
        #expect(found.lostFrames == 1)
        #expect(values(found) == [key("z"): [1]])
    }
}

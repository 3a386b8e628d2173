import ReliabilityCore
import ReliabilityStore
import StoreSimulation
import Testing

@testable import ReliabilityFileStore

/// Inspections and copies of damaged stores.
@Suite("StoreInspection", .timeLimit(.minutes(30)))
struct StoreInspectionTests {
    private func inspection(_ files: [String: [UInt8]]) throws(StoreError) -> StoreInspection {
        try StoreInspection(reading: "store", fileSystem: SimulatedFileSystem(SimulatedDisk(files)))
    }

    /// Copies what is readable, and returns the content of the copy.
    private func copy(_ inspection: StoreInspection) throws -> StoreReading {
        let target = SimulatedFileSystem()
        try inspection.salvage(to: "copy", on: target)
        #expect(target.openCount == 0)
        return try StoreReading(target.restarted())
    }

    private func content(_ inspection: StoreInspection) -> StoreContent {
        StoreContent(snapshot: inspection.content, now: inspection.position.clock)
    }

    @Test("a sound store has no finding and is copied as it is", arguments: StoreImage.all.map(\.name))
    func sound(name: String) throws {
        let image = try #require(StoreImage.named(name))
        let found = try inspection(image.files)
        #expect(found.problem == nil && found.findings.isEmpty && found.uncertainItems == 0)
        #expect(Set(found.files.filter(\.isNeeded).map(\.name)) == image.neededNames)
        let reading = try StoreReading(image.files)
        let copy = try copy(found)
        #expect(content(found) == reading.content && copy.content == reading.content)
        #expect(copy.contents.position.nextVersion == reading.contents.position.nextVersion)
        #expect(copy.contents.isSealed)
        // The reader of damaged stores finds the same content.
        let directory = try StoreDirectory(reading: "store", SimulatedFileSystem(SimulatedDisk(image.files)))
        let tolerant = try DamagedStoreReader(directory)
        directory.close()
        let (mutations, uncertain) = tolerant.content.content(gaps: tolerant.logGaps)
        #expect(StoreContent(snapshot: mutations, now: tolerant.content.position.clock) == reading.content)
        #expect(uncertain == 0 && tolerant.findings.filter(\.isNeeded).isEmpty)
    }

    @Test("the intact frames of a damaged store are copied", arguments: StoreImage.all.map(\.name))
    func damaged(name: String) throws {
        let image = try #require(StoreImage.named(name))
        let history = try Frames(image.files)
        let truth = try StoreReading(image.files).content.mutations
        var random = SplitMix(7)
        let all = Damage.all(to: image)
        let chosen = stride(from: Int(random.next() % 29), to: all.count, by: 29).map { all[$0] }
        let flips = (0..<40).map { _ in image.flip(random.next()).damage }
        var rejected = 0
        // Every file is missing once.
        let missing = image.files.keys.sorted().map { Damage.remove($0) }
        for damage in chosen + flips + missing {
            let files = damage.applied(to: image)
            let strict: StoreReading?
            do { strict = try StoreReading(files) } catch { strict = nil }
            let found: StoreInspection
            do throws(StoreError) { found = try inspection(files) } catch {
                // Without a segment and without a mark, the directory has no store.
                #expect(error.reason == .unavailable && strict == nil, "\(damage): \(error)")
                continue
            }
            #expect((found.problem == nil) == (strict != nil), "\(damage)")
            if let strict {
                #expect(content(found) == strict.content, "\(damage)")
                continue
            }
            rejected += 1
            #expect(!found.findings.isEmpty, "\(damage)")
            let copied = try copy(found)
            #expect(copied.content == content(found), "\(damage)")
            #expect(copied.contents.position.nextVersion >= found.position.nextVersion + (1 << 40), "\(damage)")
            for problem in history.problems(of: copied.content, files) { Issue.record("\(damage): \(problem)") }
            // Everything that differs from the undamaged store counts as uncertain.
            let wrong = content(found).mutations.subtracting(truth).count
            #expect(wrong <= found.uncertainItems, "\(damage)")
        }
        #expect(rejected > 50)
    }

    @Test("lost frames are counted, and later changes stay certain")
    func lostFrames() throws {
        let files = SimulatedFileSystem()
        let store = try SimulatedStore(files, unixTime: StoreImage.day, tuning: LogTuning(growth: 16_384))
        for number in 1...6 {
            _ = store.call(.commit([.put(key("k\(number)"), [UInt8(number)], .never, if: .any)], []))
        }
        _ = store.call(.commit([.delete(key("k1"), if: .any)], []))
        store.close()
        let name = LogFormat.name(.segment, 1)
        var bytes = try #require(files.disk.bytes(of: name))
        // The manifest is at 512, and the frame of k1 at 1024. The damage is in the frames of k3 and k4.
        bytes[2048 + 70] ^= 1
        bytes[2560 + 70] ^= 1
        let found = try inspection([name: bytes, "LOCK": files.disk.bytes(of: "LOCK") ?? []])
        #expect(found.problem?.reason == .corruption(file: name, offset: 2048))
        #expect(
            found.findings == [DamageFinding(file: name, reason: .frames, range: 2048..<3072, lostFrames: 2)]
        )
        #expect(found.lostFrames == 2)
        #expect(content(found).entries.map(\.key) == [key("k2"), key("k5"), key("k6")])
        // The lost frames may have changed k2. The entries k5 and k6 were written later.
        #expect(found.uncertainItems == 1)
        let file = try #require(found.files.first { $0.name == name })
        #expect(file.frames == 7 && file.readableBytes == 7 * 512 && file.readableBytesAfterDamage == 4 * 512)
    }

    /// Makes the files of a store with two openings, and returns the name of the second segment.
    private func reopened() throws -> (files: [String: [UInt8]], last: String) {
        let first = SimulatedFileSystem()
        var store = try SimulatedStore(first, unixTime: StoreImage.day, tuning: LogTuning(growth: 16_384))
        for name in ["a", "b"] { _ = store.call(.commit([.put(key(name), [1], .never, if: .any)], [])) }
        // Without a close, the second segment begins with the last frame of the first.
        let second = first.restarted()
        store = try SimulatedStore(second, unixTime: StoreImage.day, tuning: LogTuning(growth: 16_384))
        for name in ["c", "d"] { _ = store.call(.commit([.put(key(name), [1], .never, if: .any)], [])) }
        _ = store.call(.commit([.delete(key("a"), if: .any)], []))
        let last = store.logName
        let disk = second.disk
        store.close()
        let files = disk.names.map { ($0.name, disk.bytes(of: $0.name) ?? []) }
        return (Dictionary(uniqueKeysWithValues: files), last)
    }

    enum LostEnd: CaseIterable { case header, format, allZeros, cutBetweenFrames, zerosBeforeFloor }

    @Test("content is uncertain if the end of the log is lost without a trace", arguments: LostEnd.allCases)
    func lostEnd(kind: LostEnd) throws {
        var (files, last) = try reopened()
        let bytes = try #require(files[last])
        let header = try FileHeader(decoding: Array(bytes.prefix(512)))
        switch kind {
        case .header: files[last]?[20] ^= 1
        case .format: files[last]?[12] = 9
        case .allZeros: files[last] = [UInt8](repeating: 0, count: bytes.count)
        // The frame with the deletion and the frame before are missing.
        case .cutBetweenFrames: files[last] = Array(bytes.prefix(Int(header.floor) + 512))
        case .zerosBeforeFloor:
            files[last]?.replaceSubrange(1024..<bytes.count, with: [UInt8](repeating: 0, count: bytes.count - 1024))
        }
        let found = try inspection(files)
        #expect(found.problem != nil)
        #expect(found.lostFrames == nil)
        #expect(found.content.contains { $0.contentKey == StoreMutation.remove(key("a")).contentKey })
        #expect(found.uncertainItems == found.content.count)
        #expect(try copy(found).content == content(found))
    }

    @Test("a segment whose creation was interrupted is no loss")
    func unfinishedSegment() throws {
        var (files, last) = try reopened()
        let number = try #require(LogFormat.number(.segment, inName: last))
        var unfinished = [UInt8](repeating: 0, count: 4096)
        unfinished[700] = 1
        files[LogFormat.name(.segment, number + 1)] = unfinished
        let intact = try inspection(files)
        #expect(intact.problem == nil)
        // Damage to the frame of "c", which lies behind the frames of the opening.
        let floor = try FileHeader(decoding: Array(files[last, default: []].prefix(512))).floor
        files[last]?[Int(floor) + 70] ^= 1
        let found = try inspection(files)
        #expect(found.lostFrames == 1)
        #expect(found.findings.allSatisfy { $0.file == last })
    }

    @Test("a directory has a store only if an opening would not create one")
    func hasStore() throws {
        let (files, _) = try reopened()
        func hasStore(_ files: [String: [UInt8]]) throws -> Bool {
            try StoreInspection.hasStore(at: "store", fileSystem: SimulatedFileSystem(SimulatedDisk(files)))
        }
        #expect(try hasStore(files) && hasStore(["LOCK": files["LOCK", default: []]]) && hasStore(["log": []]))
        #expect(try !hasStore([:]) && !hasStore(["LOCK": []]) && !hasStore(["LOCK": [], "other": [1]]))
    }

    @Test("an owner's store and a directory without a store are rejected")
    func rejections() throws {
        #expect(throws: StoreError.self) { try inspection([:]) }
        let files = SimulatedFileSystem()
        let store = try SimulatedStore(files, unixTime: StoreImage.day)
        let error = #expect(throws: StoreError.self) { try StoreInspection(reading: "store", fileSystem: files) }
        #expect(error?.reason == .locked)
        store.close()
    }
}

extension StoreContent {
    /// The changes that make the content.
    fileprivate var mutations: Set<StoreMutation> {
        Set(entries.map { .put($0.key, $0.stored) } + records.map { .putRecord($0) })
    }
}

/// The frames of an intact store in the order of their effects.
private struct Frames {
    private struct Frame {
        let file: String
        let range: Range<Int>
        let mutations: [StoreMutation]
    }

    private let original: [String: [UInt8]]
    private var frames: [Frame] = []

    init(_ files: [String: [UInt8]]) throws {
        original = files
        let segments = files.keys.filter { $0.hasPrefix("log-") }.sorted()
        var manifest = Manifest(firstSegment: 0)
        var log: [(name: String, parts: [FrameScanner.Part])] = []
        for (index, name) in segments.enumerated() {
            let next = index + 1 < segments.count ? try Self.header(files, segments[index + 1]).previous : nil
            let parts = try Self.parts(files, name, next.flatMap { $0.offset > 0 ? $0.offset : nil })
            log.append((name, parts))
            for case .frame(let frame) in parts {
                if case .manifest(let found) = frame.content { manifest = found }
                if case .checkpoint(let checkpoint) = frame.content { manifest.install(checkpoint) }
            }
        }
        for (index, range) in manifest.ranges.enumerated() where range.number > 0 {
            let name = LogFormat.name(.checkpoint, range.number)
            let end = manifest.end(of: index)
            add(name, try Self.parts(files, name, range.size)) { place in
                place >= range.start && end.map { place < $0 } ?? true
            }
        }
        let first = LogFormat.name(.segment, manifest.firstSegment)
        for (name, parts) in log where name >= first { add(name, parts) { _ in true } }
    }

    private static func header(_ files: [String: [UInt8]], _ name: String) throws -> FileHeader {
        try FileHeader(decoding: Array(files[name, default: []].prefix(512)))
    }

    private static func parts(
        _ files: [String: [UInt8]],
        _ name: String,
        _ limit: Int64?
    ) throws -> [FrameScanner.Part] {
        let bytes = files[name, default: []]
        var scanner = FrameScanner(size: Int64(bytes.count)) { offset, count throws(FileSystemError) in
            Array(bytes.dropFirst(Int(offset)).prefix(count))
        }
        return try scanner.parts(salt: try header(files, name).salt, upTo: limit)
    }

    private mutating func add(_ name: String, _ parts: [FrameScanner.Part], _ isIn: (ContentKey) -> Bool) {
        for case .frame(let frame) in parts {
            guard case .mutations(let mutations) = frame.content else { continue }
            frames.append(
                Frame(
                    file: name,
                    range: Int(frame.offset)..<Int(frame.end),
                    mutations: mutations.filter { isIn($0.contentKey) }
                )
            )
        }
    }

    /// Returns the entries and records of a copy that are not as the last intact frame states.
    ///
    /// Only entries and records whose last change is intact can be proven.
    func problems(of content: StoreContent, _ damaged: [String: [UInt8]]) -> [String] {
        var last: [ContentKey: (mutation: StoreMutation, isIntact: Bool)] = [:]
        for frame in frames {
            let bytes = damaged[frame.file, default: []]
            let isIntact =
                bytes.count >= frame.range.upperBound
                && bytes.prefix(512) == original[frame.file, default: []].prefix(512)
                && bytes[frame.range] == original[frame.file, default: []][frame.range]
            for mutation in frame.mutations { last[mutation.contentKey] = (mutation, isIntact) }
        }
        var found: [ContentKey: StoreMutation] = [:]
        for entry in content.entries {
            let mutation = StoreMutation.put(entry.key, entry.stored)
            found[mutation.contentKey] = mutation
        }
        for record in content.records {
            let mutation = StoreMutation.putRecord(record)
            found[mutation.contentKey] = mutation
        }
        var problems: [String] = []
        for (place, change) in last where change.isIntact {
            switch change.mutation {
            case .put(_, let entry) where entry.expiresAt != nil: continue
            case .put, .putRecord:
                if found[place] != change.mutation { problems.append("\(change.mutation) is missing") }
            case .remove, .removeRecord:
                if found[place] != nil { problems.append("\(change.mutation) was not applied") }
            }
        }
        return problems
    }
}

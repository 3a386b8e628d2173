import ReliabilityCore
import ReliabilityStore
import StoreSimulation
import Testing

@testable import ReliabilityFileStore

/// A log with seven commits, and what the store held after each.
private struct History {
    var open: [String: [UInt8]]
    /// Where the snapshot, and then each commit's frame, ends.
    var ends: [Int]
    /// What the store held after the snapshot and after each commit.
    var states: [[StoreKey: [UInt8]]]

    static func record() async throws -> History {
        let files = MemoryFileSystem()
        let store = try openStore(files, tuning: LogTuning(growth: 6656))
        var ends: [Int] = []
        var states: [[StoreKey: [UInt8]]] = []
        func note() async throws {
            let log = files.files["log"] ?? []
            let last = log.lastIndex { $0 != 0 } ?? 0
            ends.append((last + 512) / 512 * 512)
            states.append(try await store.entries())
        }
        try await note()
        try await store.put("a", [1])
        try await note()
        _ = try await store.commit([
            .put(key("b"), [2], .never, if: .absent), .put(key("c"), [3], .after(.seconds(60)), if: .absent),
        ])
        try await note()
        // More than a sector, with a sector of zeros in the middle.
        try await store.put("long", [UInt8](repeating: 5, count: 700) + [UInt8](repeating: 0, count: 1100) + [6])
        try await note()
        _ = try await store.commit([.delete(key("a"), if: .present)])
        try await note()
        _ = try await store.enqueue([NewRecord(queue: "q", id: "1", payload: [1])])
        try await note()
        _ = try await store.claim("q", limit: 1, lease: .seconds(1))
        try await note()
        try await store.put("z", [UInt8](repeating: 9, count: 600))
        try await note()
        let open = files.files
        await store.close()
        return History(open: open, ends: ends, states: states)
    }
}

/// What a reader makes of a log.
private enum Reading: Equatable {
    case damaged(Int64)
    case contents([StoreKey: [UInt8]], LogContents)
    case other
}

private func read(_ log: [UInt8]) -> Reading {
    let limits = StoreLimits(maximumEntries: 1000, maximumBytes: 1 << 20)
    var state = StoreState(
        capabilities: StoreCapabilities(durability: .none, openedAt: nil, canStall: false),
        limits: limits
    )
    let reader = LogReader(size: Int64(log.count)) { offset, count in
        Array(log.dropFirst(Int(offset)).prefix(count))
    }
    do throws(LogReader.Failure) {
        let contents = try reader.replay { state.apply($0) }
        state.advance(to: someday)
        let entries = (try? state.scan(StoreKey("test"), after: nil, limit: 1000))?.entries ?? []
        return .contents(Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0.entry.value) }), contents)
    } catch {
        if case .damaged(let offset) = error { return .damaged(offset) }
        return .other
    }
}

@Suite struct LogDamageTests {
    @Test func `a log cut off at any byte holds every commit that was complete`() async throws {
        let history = try await History.record()
        let log = try #require(history.open["log"])
        let floor = history.ends[0]
        // Each byte about a frame's beginning and end, and some of the others.
        for length in 0..<log.count where length % 5 == 0 || history.ends.contains(where: { abs($0 - length) < 70 }) {
            var torn = log
            for index in length..<log.count { torn[index] = 0 }
            let reading = read(torn)
            if length < floor {
                guard case .damaged = reading else { return #expect(Bool(false), "cut at \(length)") }
                continue
            }
            let whole = history.ends.filter { $0 <= length }.count - 1
            guard case .contents(let entries, let contents) = reading else {
                return #expect(Bool(false), "cut at \(length): \(reading)")
            }
            #expect(entries == history.states[whole], "cut at \(length)")
            #expect(contents.frames == whole + 1)
            #expect((contents.droppedTailBytes > 0) == (whole < 7 && length > history.ends[whole]), "cut at \(length)")
        }
    }

    @Test func `a store whose log was cut off opens with what was acknowledged`() async throws {
        let history = try await History.record()
        let log = try #require(history.open["log"])
        for length in stride(from: history.ends[0], to: history.ends[7], by: 101) {
            var image = history.open
            image["log"] = Array(log.prefix(length)) + [UInt8](repeating: 0, count: log.count - length)
            let store = try openStore(MemoryFileSystem(image))
            let whole = history.ends.filter { $0 <= length }.count - 1
            #expect(try await store.entries() == history.states[whole])
            #expect(!store.recovery.wasClosed)
            #expect((store.recovery.droppedTailBytes > 0) == (length > history.ends[whole]))
            try await store.put("new", [1])
            await store.close()
        }
    }

    @Test func `any sectors of the last frame may be missing after a crash`() async throws {
        let history = try await History.record()
        let log = try #require(history.open["log"])
        for last in 1...7 {
            let sectors = (history.ends[last] - history.ends[last - 1]) / 512
            for missing in 1..<(1 << sectors) {
                var torn = Array(log.prefix(history.ends[last])) + [UInt8](repeating: 0, count: 2048)
                torn += [UInt8](repeating: 0, count: max(0, log.count - torn.count))
                for sector in 0..<sectors where missing & 1 << sector != 0 {
                    let start = history.ends[last - 1] + 512 * sector
                    torn.replaceSubrange(start..<start + 512, with: repeatElement(0, count: 512))
                }
                // A sector of zeros is not missed.
                let whole = torn.starts(with: log.prefix(history.ends[last])) ? last : last - 1
                guard case .contents(let entries, let contents) = read(torn) else {
                    return #expect(Bool(false), "frame \(last) without \(missing)")
                }
                #expect(entries == history.states[whole])
                #expect(contents.frames == whole + 1)
            }
        }
    }

    // `StoreCheck flips` does all of it, and each bit.
    @Test(arguments: StoreImage.all.indices) func `damage is refused, or loses nothing but a last frame`(
        _ image: Int
    ) throws {
        let image = StoreImage.all[image]
        let damages = Damage.all(to: image)
        for index in stride(from: 0, to: damages.count, by: 11) { _ = try image.outcome(of: damages[index]) }
        for bit in stride(from: 0, to: image.log.count * 8, by: 487) {
            _ = try image.outcome(of: .flip("log", bit: bit))
        }
    }

    @Test func `random bytes are refused and never trap`() {
        var generator = SeededGenerator(7)
        for _ in 0..<2000 {
            let count = Int.random(in: 0...2048, using: &generator)
            let bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            #expect(read(bytes) == .damaged(0))
        }
    }

    @Test func `random payloads under right checksums are refused and never trap`() {
        var generator = SeededGenerator(8)
        for _ in 0..<2000 {
            let count = Int.random(in: 0...200, using: &generator)
            var bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            if count > 0 { bytes[0] = UInt8.random(in: 0...8, using: &generator) }
            var reader = ByteReader(bytes, 0..<count)
            let mutations = try? reader.mutations()
            if count > 12 { #expect(mutations == nil || !reader.isAtEnd || mutations?.isEmpty == false) }
        }
    }

    @Test(arguments: [UInt64(Int64.max - 512), 1 << 40])
    func `a length beyond every frame's is refused before anything is allocated`(_ length: UInt64) {
        let header = FileHeader(salt: 1, floor: 1024, reservedEnd: 1024)
        var frame = FrameBuilder().finish(
            .mutations,
            salt: 1,
            offset: 512,
            number: 0,
            moment: LogMoment(clock: 0, nextVersion: 1),
            reservedEnd: 1024
        )
        frame.set(length, at: 8)
        frame.set(FrameHeader.checksum(frame, 1, 512), at: 4)
        let bytes = header.encoded + frame
        // A sparse file can be as long as its owner likes.
        let reader = LogReader(size: .max) { offset, count throws(FileSystemError) in
            if count > 1 << 20 { throw FileSystemError(.other, "asked for \(count) bytes") }
            return Array(bytes[Int(offset)...].prefix(count))
        }
        var isRefused = false
        do throws(LogReader.Failure) {
            _ = try reader.replay { _ in }
        } catch {
            if case .damaged(512) = error { isRefused = true }
        }
        #expect(isRefused)
    }

    @Test func `mutations come back as they were`() throws {
        var generator = SeededGenerator(9)
        for _ in 0..<500 {
            func bytes(_ limit: Int) -> [UInt8] {
                (0..<Int.random(in: 0...limit, using: &generator)).map { _ in .random(in: 0...255, using: &generator) }
            }
            func number() -> Int64 { .random(in: .min ... .max, using: &generator) }
            let version = UInt64.random(in: 0..<versionLimit, using: &generator)
            let key = StoreKey("k", bytes: [bytes(300)])
            let record = StoredRecord(
                queue: "q\u{301}",
                id: "ü",
                payload: bytes(300),
                version: version,
                attempts: Int.random(in: 0 ... .max, using: &generator),
                dueAt: number(),
                isLeased: Bool.random(using: &generator),
                deadReason: nil
            )
            var dead = record
            dead.isLeased = false
            dead.deadReason = "no"
            let mutations: [StoreMutation] = [
                .put(key, StoredEntry(value: bytes(300), version: version, expiresAt: nil)),
                .put(key, StoredEntry(value: bytes(3), version: version, expiresAt: number())),
                .remove(key), .putRecord(record), .putRecord(dead), .removeRecord(queue: "q", id: "ü"),
            ]
            var encoded: [UInt8] = []
            for mutation in mutations { encoded.append(mutation: mutation) }
            var reader = ByteReader(encoded, 0..<encoded.count)
            #expect(try reader.mutations() == mutations)
        }
    }

    @Test func `the checksum is CRC-32C`() {
        func checksum(_ bytes: [UInt8]) -> UInt32 {
            var checksum = CRC32C()
            checksum.add(bytes, 0..<bytes.count)
            return checksum.value
        }
        // RFC 3720, appendix B.4.
        #expect(checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(checksum((0..<32).map { $0 }) == 0x46DD_794E)
        #expect(checksum((0..<32).reversed().map { $0 }) == 0x113F_DB5C)
        // In pieces it is the same.
        var pieces = CRC32C()
        let bytes = (0..<100).map { UInt8($0) }
        pieces.add(bytes, 0..<3)
        pieces.add(bytes, 3..<64)
        pieces.add(bytes, 64..<100)
        #expect(pieces.value == checksum(bytes))
    }
}

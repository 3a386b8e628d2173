import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import StoreSimulation
import Testing

@testable import ReliabilityFileStore

/// The name of the first segment of a store.
private let segment = LogFormat.name(.segment, 1)

/// A segment with seven commits, and the content of the store after each commit.
private struct History {
    var open: [String: [UInt8]]
    /// The end of the manifest and of each commit's frame.
    var ends: [Int]
    /// The content of the store after the opening and after each commit.
    var states: [[StoreKey: [UInt8]]]

    static func record() throws -> History {
        let fileSystem = SimulatedFileSystem(seed: 3)
        // The segment is less than half full, so no other segment is prepared.
        let tuning = LogTuning(growth: 16_384)
        let store = try SimulatedStore(fileSystem, unixTime: StoreImage.day, tuning: tuning)
        var ends: [Int] = []
        var states: [[StoreKey: [UInt8]]] = []
        func recordState() {
            let log = fileSystem.disk.bytes(of: segment) ?? []
            let last = log.lastIndex { $0 != 0 } ?? 0
            ends.append((last + 512) / 512 * 512)
            states.append(entries(store))
        }
        recordState()
        // The value has several sectors, and a sector of zeros in the middle.
        let long = [UInt8](repeating: 5, count: 700) + [UInt8](repeating: 0, count: 1100) + [6]
        let operations: [WorkloadOperation] = [
            .commit([.put(key("a"), [1], .never, if: .any)], []),
            .commit(
                [.put(key("b"), [2], .never, if: .absent), .put(key("c"), [3], .after(.seconds(60)), if: .absent)],
                []
            ),
            .commit([.put(key("long"), long, .never, if: .any)], []),
            .commit([.delete(key("a"), if: .present)], []),
            .enqueue([NewRecord(queue: "q", id: "1", payload: [1])]),
            .claim("q", limit: 1, lease: .seconds(1)),
            .commit([.put(key("z"), [UInt8](repeating: 9, count: 600), .never, if: .any)], []),
        ]
        for operation in operations {
            _ = store.call(operation)
            recordState()
        }
        let files = fileSystem.disk.names.map { ($0.name, fileSystem.disk.bytes(of: $0.name) ?? []) }
        return History(open: Dictionary(uniqueKeysWithValues: files), ends: ends, states: states)
    }
}

private func entries(_ store: SimulatedStore) -> [StoreKey: [UInt8]] {
    Dictionary(uniqueKeysWithValues: store.content.entries.map { ($0.key, $0.stored.value) })
}

/// The result of a reader.
private enum Reading: Equatable {
    case damaged(Int64)
    case contents([StoreKey: [UInt8]], LogContents)
    case other
}

private func read(_ log: [UInt8]) -> Reading {
    let limits = StoreLimits(maxEntries: 1000, maxBytes: 1 << 20)
    var state = StoreStateMachine(
        capabilities: StoreCapabilities(durability: .none, openedAt: nil, canStall: false),
        limits: limits
    )
    let reader = LogReader(size: Int64(log.count)) { offset, count in
        Array(log.dropFirst(Int(offset)).prefix(count))
    }
    do throws(LogReader.Failure) {
        let contents = try reader.replay(try reader.header(), .open) { content in
            if case .mutations(let mutations) = content { state.apply(mutations) }
        }
        state.advance(to: StoreImage.day)
        let entries = (try? state.scan(StoreKey("test"), after: nil, limit: 1000))?.entries ?? []
        return .contents(Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0.entry.value) }), contents)
    } catch {
        if case .damaged(let offset) = error { return .damaged(offset) }
        return .other
    }
}

@Suite("Damaged files")
struct LogDamageTests {
    @Test("a segment cut at any byte keeps every complete commit")
    func truncated() throws {
        let history = try History.record()
        let log = try #require(history.open[segment])
        let floor = history.ends[0]
        // Every length near the end of a frame, and some of the others.
        for length in 0..<history.ends[7] + 600
        where length % 5 == 0 || history.ends.contains(where: { abs($0 - length) < 70 }) {
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

    @Test("a store with a segment that was cut opens with every complete commit")
    func truncatedStore() throws {
        let history = try History.record()
        let log = try #require(history.open[segment])
        for length in stride(from: history.ends[0], to: history.ends[7], by: 101) {
            var image = history.open
            image[segment] = Array(log.prefix(length)) + [UInt8](repeating: 0, count: log.count - length)
            let fileSystem = SimulatedFileSystem().restarted(with: SimulatedDisk(image))
            let store = try SimulatedStore(fileSystem, unixTime: StoreImage.day, tuning: StoreImage.tuning)
            let whole = history.ends.filter { $0 <= length }.count - 1
            #expect(entries(store) == history.states[whole])
            #expect(!store.recovery.wasClosed)
            #expect((store.recovery.droppedTailBytes > 0) == (length > history.ends[whole]))
            _ = store.call(.commit([.put(key("new"), [1], .never, if: .any)], []))
            store.close()
        }
    }

    @Test("a last frame with missing sectors is dropped")
    func missingSectors() throws {
        let history = try History.record()
        let log = try #require(history.open[segment])
        for last in 1...7 {
            let sectors = (history.ends[last] - history.ends[last - 1]) / 512
            for missing in 1..<(1 << sectors) {
                var torn = Array(log.prefix(history.ends[last]))
                torn += [UInt8](repeating: 0, count: log.count - torn.count)
                for sector in 0..<sectors where missing & 1 << sector != 0 {
                    let start = history.ends[last - 1] + 512 * sector
                    torn.replaceSubrange(start..<start + 512, with: repeatElement(0, count: 512))
                }
                // The absence of a sector of zeros changes nothing.
                let whole = torn.starts(with: log.prefix(history.ends[last])) ? last : last - 1
                guard case .contents(let entries, let contents) = read(torn) else {
                    return #expect(Bool(false), "frame \(last) without \(missing)")
                }
                #expect(entries == history.states[whole])
                #expect(contents.frames == whole + 1)
            }
        }
    }

    // `StoreCheck flips` applies all damage and flips every bit.
    @Test("damage is rejected or costs at most the last frame", arguments: StoreImage.all.indices)
    func damage(
        _ image: Int
    ) throws {
        let image = StoreImage.all[image]
        let damages = Damage.all(to: image)
        for index in stride(from: 0, to: damages.count, by: 101) { _ = try image.outcome(of: damages[index]) }
        for bit in stride(from: 0, to: image.bitCount, by: 2011) {
            _ = try image.outcome(of: image.flip(UInt64(bit)).damage)
        }
    }

    @Test("random bytes are rejected and do not trap")
    func randomBytes() {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<2000 {
            let count = Int.random(in: 0...2048, using: &generator)
            let bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            #expect(read(bytes) == .damaged(0))
        }
    }

    @Test("random payloads with valid checksums do not trap")
    func randomPayloads() {
        var generator = SeededGenerator(seed: 8)
        for _ in 0..<2000 {
            let count = Int.random(in: 0...200, using: &generator)
            var bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            if count > 0 { bytes[0] = UInt8.random(in: 0...8, using: &generator) }
            var reader = ByteReader(bytes, 0..<count)
            let mutations = try? reader.mutations()
            if count > 12 { #expect(mutations == nil || !reader.isAtEnd || mutations?.isEmpty == false) }
            reader = ByteReader(bytes, 0..<count)
            _ = try? reader.manifest()
            reader = ByteReader(bytes, 0..<count)
            _ = try? reader.checkpoint()
        }
    }

    @Test("an impossible length is rejected before an allocation", arguments: [UInt64(Int64.max - 512), 1 << 40])
    func hugeLength(_ length: UInt64) {
        let header = FileHeader(salt: 1, floor: 1024, reservedEnd: 1024)
        var frame = FrameBuilder().finish(
            .mutations,
            salt: 1,
            offset: 512,
            number: 0,
            position: LogPosition(clock: 0, nextVersion: 1),
            reservedEnd: 1024
        )
        frame.set(length, at: 8)
        frame.set(FrameHeader.checksum(frame, 1, 512), at: 4)
        let bytes = header.encoded + frame
        // A sparse file can have any length.
        let reader = LogReader(size: .max) { offset, count throws(FileSystemError) in
            if count > 1 << 20 { throw FileSystemError(.other, "asked for \(count) bytes") }
            return Array(bytes[Int(offset)...].prefix(count))
        }
        var isRejected = false
        do throws(LogReader.Failure) {
            _ = try reader.replay(header, .open) { _ in }
        } catch {
            if case .damaged(512) = error { isRejected = true }
        }
        #expect(isRejected)
    }
}

import Foundation
import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation
import Testing

/// The stores in `Tools/StoreFormat`: in each format a closed store and a store after a crash, and a store of an unknown
/// format.
///
/// `RELIABILITY_WRITE_FIXTURES=1 swift test --filter FileStoreFormatTests` writes the files of the present format again.
/// Use this only for a format that was never released. A new format gets its own folder.
@Suite("FileStore formats", .serialized)
struct FileStoreFormatTests {
    private static let folder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Tools/StoreFormat")

    private static func read(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: folder.appendingPathComponent(name)))
    }

    /// Returns the files of a store.
    private static func files(_ name: String) throws -> [String: [UInt8]] {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent(name).path)
        return Dictionary(uniqueKeysWithValues: try names.map { ($0, try read("\(name)/\($0)")) })
    }

    private static func expected(_ name: String) throws -> String {
        String(decoding: try read("\(name).expected"), as: UTF8.self)
    }

    init() throws {
        guard ProcessInfo.processInfo.environment["RELIABILITY_WRITE_FIXTURES"] == "1" else { return }
        for fixture in FormatFixture.known { try Self.write(fixture.files, fixture.name) }
        try Self.write(FormatFixture.unknownFiles, "unknown")
    }

    private static func write(_ files: [String: [UInt8]], _ name: String) throws {
        let directory = folder.appendingPathComponent(name)
        try? FileManager.default.removeItem(at: directory)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        for (name, bytes) in files { try Data(bytes).write(to: directory.appendingPathComponent(name)) }
        try Data(contentLines(of: files).utf8).write(to: folder.appendingPathComponent("\(name).expected"))
    }

    @Test("the same calls write the same bytes as at the release of the format", arguments: FormatFixture.known.indices)
    func bytes(
        _ number: Int
    ) throws {
        let fixture = FormatFixture.known[number]
        #expect(try Self.files(fixture.name) == fixture.files)
    }

    @Test(
        "a store of a released format has the written content",
        arguments: ["format-1/closed", "format-1/torn", "format-2/closed", "format-2/torn", "unknown"]
    )
    func contents(_ name: String) throws {
        #expect(contentLines(of: try Self.files(name)) == (try Self.expected(name)))
    }

    @Test("a store of the present format has segments and checkpoint files of every kind")
    func parts() throws {
        for fixture in FormatFixture.known {
            let segments = fixture.files.filter { $0.key.hasPrefix("log-") }
            let headers = try segments.map { try FileHeader(decoding: Array($0.value.prefix(512))) }
            #expect(headers.contains { $0.previous?.offset == 0 })
            #expect(headers.contains { ($0.previous?.offset ?? 0) > 0 })
            #expect(fixture.files.keys.count { $0.hasPrefix("checkpoint-") } == 2)
        }
    }

    @Test("a store of the present format opens with its content", arguments: FormatFixture.known.indices)
    func opening(_ number: Int) throws {
        let fixture = FormatFixture.known[number]
        let fileSystem = SimulatedFileSystem().restarted(with: SimulatedDisk(try Self.files(fixture.name)))
        let before = try StoreReading(fileSystem.restarted())
        let store = try SimulatedStore(fileSystem, unixTime: FormatFixture.openingTime, tuning: FormatFixture.tuning)
        #expect(!store.recovery.isNew)
        #expect(store.recovery.wasClosed == fixture.isClosed)
        #expect((store.recovery.droppedTailBytes == 1024) == !fixture.isClosed)
        #expect(store.recovery.wallClockOffset == .zero)
        #expect(store.capabilities.openedAt?.rawValue == before.contents.position.nextVersion + 1 << 20)
        #expect(store.content == fixture.contentAfterOpening)
        #expect(try StoreReading(fileSystem.restarted()).content == fixture.contentAfterOpening)
    }

    @Test("a store of format 1 is converted with its content", arguments: ["format-1/closed", "format-1/torn"])
    func conversion(_ name: String) throws {
        let fileSystem = SimulatedFileSystem().restarted(with: SimulatedDisk(try Self.files(name)))
        let before = try StoreReading(fileSystem.restarted())
        // The time of the last frame: nothing expires during the opening.
        let time = before.contents.position.clock
        let tuning = LogTuning(growth: 2048, checkpointSize: 512, sliceLimit: 2)
        let store = try SimulatedStore(fileSystem, unixTime: time, tuning: tuning)
        let isClosed = name == "format-1/closed"
        #expect(
            store.recovery
                == RecoveryReport(
                    isNew: false,
                    wasClosed: isClosed,
                    replayedFrames: isClosed ? 12 : 11,
                    replayedBytes: isClosed ? 8192 : 7680,
                    droppedTailBytes: isClosed ? 0 : 1024,
                    wallClockOffset: .zero
                )
        )
        #expect(store.capabilities.openedAt?.rawValue == before.contents.position.nextVersion + 1 << 20)
        #expect(store.content == before.content.withoutLeases(time))
        #expect(try StoreReading(fileSystem.restarted()).content == store.content)
        let names = Set(fileSystem.disk.names.map(\.name))
        #expect(names == store.neededFileNames.union(["LOCK"]))
        #expect(names.count { $0.hasPrefix("checkpoint-") } > 1)
    }

    @Test(
        "a crash during the conversion of format 1 keeps the content",
        arguments: ["format-1/closed", "format-1/torn"]
    )
    func crashesDuringConversion(_ name: String) throws {
        let fileSystem = SimulatedFileSystem().restarted(with: SimulatedDisk(try Self.files(name)))
        fileSystem.keepsSnapshots = true
        let tuning = LogTuning(growth: 2048, checkpointSize: 512, sliceLimit: 2)
        let before = try StoreReading(fileSystem.restarted())
        let time = before.contents.position.clock
        let store = try SimulatedStore(fileSystem, unixTime: time, tuning: tuning)
        let content = store.content
        var states = 0
        var converted = 0
        for (number, disk) in fileSystem.snapshots.enumerated() {
            let choices = disk.crashChoices(randomSubsets: 8, seed: UInt64(number)).filter { !$0.mayBeRejected }
            for index in stride(from: number % 4, to: choices.count, by: 4) {
                let choice = choices[index]
                let crashed = disk.crashed(choice)
                // The log is the content until the mark of a segment is durable. Without LOCK, the log counts too.
                for disk in [crashed, crashed.without("LOCK")] {
                    let again = SimulatedFileSystem(seed: UInt64(number), disk)
                    let reading = try StoreReading(again.restarted())
                    #expect(reading.content == (reading.lastName == "log" ? before.content : content), "\(choice)")
                    let store = try SimulatedStore(again, unixTime: time, tuning: tuning)
                    #expect(store.content == content, "\(choice) of change \(number)")
                    #expect(again.disk.bytes(of: "log") == nil)
                    states += 1
                    if reading.lastName != "log" { converted += 1 }
                }
            }
        }
        #expect(states > 100)
        #expect(converted > 0 && converted < states)
    }

    @Test("a removed log of format 1 does not return after a crash during the opening")
    func removedLog() throws {
        let files = try Self.files("format-1/closed")
        let fileSystem = SimulatedFileSystem().restarted(with: SimulatedDisk(files))
        fileSystem.keepsSnapshots = true
        _ = try SimulatedStore(fileSystem, unixTime: FormatFixture.openingTime, tuning: FormatFixture.tuning)
        // The power ends after the removal of the log and before the sync of the directory. The log is there again.
        let disk = try #require(fileSystem.snapshots.last { $0.bytes(of: "log") == nil && !$0.changes.isEmpty })
        let second = SimulatedFileSystem(seed: 1, disk.crashed(.nothing))
        #expect(second.disk.bytes(of: "log") != nil)
        let store = try SimulatedStore(second, unixTime: FormatFixture.openingTime, tuning: FormatFixture.tuning)
        let put = WorkloadOperation.commit([.put(StoreKey("orders", "new"), [1], .never, if: .absent)], [])
        _ = store.call(put)
        // The power ends. LOCK is lost as well.
        let third = SimulatedFileSystem(seed: 2, second.disk.crashed(.nothing).without("LOCK"))
        let content = try StoreReading(third).content
        #expect(content.entries.contains { $0.key == StoreKey("orders", "new") })
    }

    @Test("a store of a released format opens in a real directory", arguments: ["format-1/closed", "format-2/closed"])
    func realDirectory(_ folder: String) async throws {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("reliability-\(randomHexadecimal(bytes: 8))")
        defer { try? FileManager.default.removeItem(at: directory) }
        try FileManager.default.createDirectory(
            at: directory,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700]
        )
        for (name, bytes) in try Self.files(folder) {
            try Data(bytes).write(to: directory.appendingPathComponent(name))
        }
        let store = try await FileStore.open(at: directory.path)
        #expect(store.recovery.wasClosed)
        let orders = try await store.scan(StoreKey("orders"), after: nil, limit: 10)
        #expect(orders.entries.map(\.entry.value).contains([3]))
        #expect(try await store.counts("wörk") == RecordCounts(pending: 1, deadLetters: 1))
        await store.close()
    }

    @Test("a store of an unknown format is rejected and left unchanged")
    func unknownFormat() throws {
        let files = try Self.files("unknown")
        #expect(files == FormatFixture.unknownFiles)
        let fileSystem = SimulatedFileSystem().restarted(with: SimulatedDisk(files))
        do {
            _ = try SimulatedStore(fileSystem, unixTime: FormatFixture.openingTime)
            #expect(Bool(false), "it was opened")
        } catch {
            #expect(error.reason == .unsupportedFormat(Int(FormatFixture.unknownVersion)))
        }
        for (name, bytes) in files { #expect(fileSystem.disk.bytes(of: name) == bytes) }
        #expect(fileSystem.changeCount == 0)
        #expect(fileSystem.openCount == 0)
    }
}

extension StoreContent {
    /// The content after an opening at a time ended all leases.
    fileprivate func withoutLeases(_ time: Int64) -> StoreContent {
        StoreContent(
            entries: entries,
            records: records.map { record in
                var record = record
                if record.isLeased { record.dueAt = min(record.dueAt, time / 1_000_000) }
                return record
            }
        )
    }
}

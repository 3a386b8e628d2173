import Foundation
import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation
import Testing

/// The files in `Tools/StoreFormat`: a closed store, a store after a crash and a store of an unknown format.
///
/// `RELIABILITY_WRITE_FIXTURES=1 swift test --filter FileStoreFormatTests` writes the files again. Use this only for a
/// format that was never released. A new format gets its own folder.
@Suite("FileStore formats", .serialized)
struct FileStoreFormatTests {
    private static let folder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Tools/StoreFormat")

    private static func read(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: folder.appendingPathComponent(name)))
    }

    init() throws {
        guard ProcessInfo.processInfo.environment["RELIABILITY_WRITE_FIXTURES"] == "1" else { return }
        func write(_ bytes: [UInt8], _ name: String) throws {
            let file = Self.folder.appendingPathComponent(name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(),
                withIntermediateDirectories: true
            )
            try Data(bytes).write(to: file)
        }
        for fixture in FormatFixture.known {
            for (name, bytes) in fixture.files { try write(bytes, "\(fixture.name)/\(name)") }
            let lines = contentLines(fixture.content, fixture.contents)
            try write(Array(lines.utf8), "\(fixture.name)/log.expected")
        }
        for (name, bytes) in FormatFixture.unknownFiles { try write(bytes, "unknown/\(name)") }
        try write(Array("{\"unknown_format\":\(FormatFixture.unknownVersion)}\n".utf8), "unknown/log.expected")
    }

    @Test("the same calls write the same bytes as at the release of the format", arguments: [0, 1])
    func bytes(
        _ number: Int
    ) throws {
        let fixture = FormatFixture.known[number]
        #expect(try Self.read("\(fixture.name)/log") == fixture.log)
        #expect(try Self.read("\(fixture.name)/LOCK") == fixture.files["LOCK"])
    }

    @Test("the log of a released format has the written contents", arguments: [0, 1])
    func contents(_ number: Int) throws {
        let fixture = FormatFixture.known[number]
        let expected = String(decoding: try Self.read("\(fixture.name)/log.expected"), as: UTF8.self)
        #expect(contentLines(fixture.content, fixture.contents) == expected)
        #expect(contentLines(ofLog: try Self.read("\(fixture.name)/log")) == expected)
    }

    @Test("a store of a released format opens with its contents", arguments: [0, 1])
    func opening(_ number: Int) throws {
        let fixture = FormatFixture.known[number]
        let files = ["log": try Self.read("\(fixture.name)/log"), "LOCK": try Self.read("\(fixture.name)/LOCK")]
        let fileSystem = SimulatedFileSystem().restarted(with: SimulatedDisk(files))
        let store = try SimulatedStore(
            fileSystem,
            unixTime: FormatFixture.openingTime,
            tuning: FormatFixture.tuning
        )
        let isClosed = fixture.contents.isSealed
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
        #expect(store.capabilities.openedAt?.rawValue == fixture.contents.position.nextVersion + 1 << 20)
        let (mutations, _) = try readLog(fileSystem.disk.bytes(of: "log") ?? [])
        #expect(StoreContent(snapshot: mutations, now: FormatFixture.openingTime) == fixture.contentAfterOpening)
    }

    @Test("a store of a released format opens in a real directory")
    func realDirectory() async throws {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("reliability-\(randomHexadecimal(bytes: 8))")
        defer { try? FileManager.default.removeItem(at: directory) }
        try FileManager.default.createDirectory(
            at: directory,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700]
        )
        for name in ["log", "LOCK"] {
            try Data(Self.read("format-1/closed/\(name)")).write(to: directory.appendingPathComponent(name))
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
        let files = ["log": try Self.read("unknown/log"), "LOCK": try Self.read("unknown/LOCK")]
        #expect(files == FormatFixture.unknownFiles)
        let fileSystem = SimulatedFileSystem().restarted(with: SimulatedDisk(files))
        do {
            _ = try SimulatedStore(fileSystem, unixTime: FormatFixture.openingTime)
            #expect(Bool(false), "it was opened")
        } catch {
            #expect(error.reason == .unsupportedFormat(1000))
        }
        for (name, bytes) in files { #expect(fileSystem.disk.bytes(of: name) == bytes) }
        #expect(fileSystem.changeCount == 0)
        #expect(fileSystem.openCount == 0)
    }
}

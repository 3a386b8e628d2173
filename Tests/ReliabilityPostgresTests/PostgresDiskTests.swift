#if LibPQ && os(Linux)
import Foundation
import ReliabilityLibPQ
import ReliabilityStore
import TestSupport
import Testing

@testable import ReliabilityPostgres

@Suite(
    "Full disks of a PostgreSQL server",
    .serialized,
    .serverTurn,
    .timeLimit(.minutes(10)),
    .enabled(if: PostgresServer.isEnabled),
    .enabled(if: SmallDisk.isAllowed, "an administrator's rights are needed to mount a file system")
)
struct PostgresDiskTests {
    /// Moves the write-ahead log to another disk.
    private func moveLog(of server: PostgresServer, to directory: URL) async throws {
        let process = try server.processIdentifier
        try server.signal(SIGINT)
        try await eventually("the server ends") { kill(process, 0) != 0 }
        let log = server.directory + "/data/pg_wal"
        let target = directory.appending(path: "wal").path
        let files = FileManager.default
        try files.copyItem(atPath: log, toPath: target)
        for item in [target] + (try files.subpathsOfDirectory(atPath: target)).map({ target + "/" + $0 }) {
            try files.setAttributes([.ownerAccountName: "postgres"], ofItemAtPath: item)
        }
        try files.removeItem(atPath: log)
        try files.createSymbolicLink(atPath: log, withDestinationPath: target)
        try server.restart()
        try await server.waitUntilReady()
    }

    @Test("N21: a server that dies of a full disk leaves an unknown outcome and loses nothing, and no call hangs")
    func diesOfFullDisk() async throws {
        let disk = try SmallDisk(megabytes: 64)
        let server = try PostgresServer(["min_wal_size=32MB", "max_wal_size=32MB", "restart_after_crash=on"])
        defer { server.stop() }
        try await server.waitUntilReady()
        try await moveLog(of: server, to: disk.directory)
        let fixture = try await StoreFixture(server)
        let store = try await fixture.store()
        func put(_ number: Int) async -> StoreError? {
            let value = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7919 &+ $0 >> 8 &+ number) }
            return await failure { try await store.commit(.put(StoreKey("d", "\(number)"), value, .never, if: .any)) }
        }
        let filler = try disk.fill()
        var written = 0
        var error: StoreError?
        while error == nil, written < 2000 {
            error = await put(written)
            if error == nil { written += 1 }
        }
        #expect(error?.reason == .unknownOutcome || error?.reason == .unavailable, "\(String(describing: error))")
        let start = ContinuousClock.now
        for number in 0..<5 {
            let error = await put(10_000 + number)
            #expect(error?.reason == .unavailable || error?.reason == .unknownOutcome, "\(String(describing: error))")
        }
        #expect(ContinuousClock.now - start < .seconds(60))
        try FileManager.default.removeItem(at: filler)
        try await eventually("the store works", within: .seconds(60)) { await put(20_000) == nil }
        let keys = (0..<written).map { StoreKey("d", "\($0)") }
        var lost: [Int] = []
        for index in keys.indices where try await store.get(keys[index]) == nil { lost.append(index) }
        #expect(written > 0 && lost == [])
        store.close()
        await fixture.admin.close()
    }
}
#endif

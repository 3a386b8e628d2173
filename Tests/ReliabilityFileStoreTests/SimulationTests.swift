import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation
import Testing

/// The simulator itself: what it leaves after a crash, how it fails, and that its witness notices.
@Suite struct SimulationTests {
    private let sector = SimulatedDisk.sectorSize

    private func bytes(_ byte: UInt8, sectors: Int = 1) -> ArraySlice<UInt8> {
        ArraySlice(repeating: byte, count: sectors * sector)
    }

    /// A file system with a file of two sectors that are durable.
    private func twoSectors() throws -> (SimulatedFileSystem, OpenFile, OpenFile) {
        let files = SimulatedFileSystem()
        let directory = try files.openDirectory("store")
        let file = try files.createFile("a", in: directory)
        _ = try files.write(bytes(1, sectors: 2), to: file, at: 0)
        try files.sync(file)
        try files.syncDirectory(directory)
        return (files, file, directory)
    }

    // MARK: What a crash leaves

    @Test func `What was not synced is lost, or there`() throws {
        let (files, file, _) = try twoSectors()
        _ = try files.write(bytes(2, sectors: 3), to: file, at: 0)
        #expect(files.disk.crashed(.nothing).bytes(of: "a") == Array(bytes(1, sectors: 2)))
        #expect(files.disk.crashed(.everything).bytes(of: "a") == Array(bytes(2, sectors: 3)))
    }

    @Test func `Each sector is lost for itself`() throws {
        let (files, file, _) = try twoSectors()
        _ = try files.write(bytes(2, sectors: 2), to: file, at: 0)
        #expect(files.disk.changes.count == 2)
        #expect(files.disk.crashed(.only(1)).bytes(of: "a") == Array(bytes(1) + bytes(2)))
        #expect(files.disk.crashed(.missing(1)).bytes(of: "a") == Array(bytes(2) + bytes(1)))
    }

    @Test func `A sector that was written twice is as it was before, between, or after`() throws {
        let (files, file, _) = try twoSectors()
        _ = try files.write(bytes(2), to: file, at: 0)
        _ = try files.write(bytes(3), to: file, at: 0)
        let found = [CrashChoice.nothing, .prefix(1), .missing(0)].map { files.disk.crashed($0).bytes(of: "a")?.first }
        #expect(found == [1, 2, 3])
    }

    @Test func `A file is longer before it was written there`() throws {
        let (files, file, _) = try twoSectors()
        _ = try files.write(bytes(2), to: file, at: Int64(2 * sector))
        // The size first, then the sector.
        #expect(files.disk.crashed(.only(0)).bytes(of: "a") == Array(bytes(1, sectors: 2) + bytes(0)))
        #expect(files.disk.crashed(.only(1)).bytes(of: "a") == Array(bytes(1, sectors: 2)))
    }

    @Test func `Where a file was only made longer there may be garbage, and nowhere else`() throws {
        let (files, file, directory) = try twoSectors()
        let old = try files.createFile("old", in: directory)
        _ = try files.write(bytes(7, sectors: 4), to: old, at: 0)
        try files.sync(old)
        try files.unlink("old", in: directory)
        try files.syncDirectory(directory)
        _ = try files.write(bytes(0), to: file, at: Int64(2 * sector))
        let stale = files.disk.crashed(.garbage(.stale, kept: .sizes)).bytes(of: "a")
        let expected = Array(bytes(1, sectors: 2) + bytes(7))
        let isAsExpected = stale == expected
        #expect(isAsExpected)
        let noise = try #require(files.disk.crashed(.garbage(.noise(1), kept: .sizes)).bytes(of: "a"))
        #expect(noise.prefix(2 * sector) == bytes(1, sectors: 2))
        #expect(Set(noise.suffix(sector)).count > 1)
    }

    @Test func `A sector is torn where it is said to be`() throws {
        let (files, file, _) = try twoSectors()
        _ = try files.write(bytes(2), to: file, at: 0)
        let newFirst = files.disk.crashed(.torn(0, at: 10, newFirst: true)).bytes(of: "a")
        #expect(newFirst?.prefix(11) == [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1])
        let oldFirst = files.disk.crashed(.torn(0, at: 10, newFirst: false)).bytes(of: "a")
        #expect(oldFirst?.prefix(11) == [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2])
    }

    @Test func `A name is durable without the data, and the data without the name`() throws {
        let (files, _, directory) = try twoSectors()
        let new = try files.createFile("b", in: directory)
        _ = try files.write(bytes(9), to: new, at: 0)
        try files.rename("b", to: "a", in: directory)
        #expect(files.disk.crashed(.names(0b11, withData: false)).bytes(of: "a") == [])
        #expect(files.disk.crashed(.names(0b00, withData: true)).bytes(of: "a") == Array(bytes(1, sectors: 2)))
        #expect(files.disk.crashed(.names(0b01, withData: true)).bytes(of: "b") == Array(bytes(9)))
        try files.sync(new)
        #expect(files.disk.crashed(.names(0b11, withData: false)).bytes(of: "a") == Array(bytes(9)))
    }

    @Test func `A file that was removed is there again`() throws {
        let (files, _, directory) = try twoSectors()
        try files.unlink("a", in: directory)
        #expect(files.disk.crashed(.nothing).bytes(of: "a") == Array(bytes(1, sectors: 2)))
        try files.syncDirectory(directory)
        #expect(files.disk.crashed(.nothing).bytes(of: "a") == nil)
    }

    @Test func `A process that is killed loses nothing, and what is not durable stays so`() throws {
        let (files, file, _) = try twoSectors()
        _ = try files.write(bytes(2), to: file, at: 0)
        let killed = files.disk.crashed(.kill)
        #expect(killed.bytes(of: "a") == Array(bytes(2) + bytes(1)))
        #expect(killed.crashed(.nothing).bytes(of: "a") == Array(bytes(1, sectors: 2)))
    }

    // MARK: What fails

    @Test(arguments: [true, false])
    func `What a failed sync left out is not written by the next one`(cacheKeepsContent: Bool) throws {
        let (files, file, _) = try twoSectors()
        _ = try files.write(bytes(2), to: file, at: 0)
        files.fault = .init(.error, atCall: files.callCount + 1, cacheKeepsContent: cacheKeepsContent)
        #expect(throws: FileSystemError.self) { try files.sync(file) }
        #expect(files.disk.bytes(of: "a")?.first == (cacheKeepsContent ? 2 : 1))
        _ = try files.write(bytes(3), to: file, at: Int64(sector))
        try files.sync(file)
        #expect(files.disk.crashed(.nothing).bytes(of: "a") == Array(bytes(1) + bytes(3)))
    }

    @Test func `A fault strikes once, or for ever`() throws {
        let (files, file, _) = try twoSectors()
        files.fault = .init(.error, atCall: files.callCount + 2)
        #expect(throws: Never.self) { try files.size(of: file) }
        #expect(throws: FileSystemError.self) { try files.size(of: file) }
        #expect(throws: Never.self) { try files.size(of: file) }
        files.fault = .init(.error, atCall: files.callCount + 1, isForEver: true)
        #expect(throws: FileSystemError.self) { try files.size(of: file) }
        #expect(throws: FileSystemError.self) { try files.sync(file) }
    }

    @Test func `A full disk stops what needs space, after half of it`() throws {
        let (files, file, directory) = try twoSectors()
        files.fault = .init(.noSpace(writesHalf: true), atCall: 1, isForEver: true)
        #expect(try files.write(bytes(2), to: file, at: 0) == sector)
        #expect(try files.write(bytes(2, sectors: 2), to: file, at: Int64(2 * sector)) == sector)
        #expect(throws: FileSystemError.self) { try files.createFile("b", in: directory) }
        #expect(throws: Never.self) { try files.sync(file) }
    }

    @Test func `Files have no more bytes than the disk`() throws {
        let (files, file, directory) = try twoSectors()
        files.capacity = 3 * sector
        #expect(try files.write(bytes(2, sectors: 4), to: file, at: 0) == 3 * sector)
        #expect(throws: FileSystemError.self) { try files.write(bytes(2), to: file, at: Int64(3 * sector)) }
        files.close(file)
        try files.unlink("a", in: directory)
        let other = try files.createFile("b", in: directory)
        #expect(try files.write(bytes(2), to: other, at: 0) == sector)
    }

    @Test func `The power ends before a call, and for all later ones`() throws {
        let (files, file, directory) = try twoSectors()
        files.powerEndsAtChange = files.changeCount + 2
        _ = try files.write(bytes(2), to: file, at: 0)
        #expect(throws: FileSystemError.self) { try files.sync(file) }
        #expect(throws: FileSystemError.self) { try files.openFile("a", in: directory) }
        #expect(files.disk.changes.count == 1)
    }

    @Test func `A directory has one owner`() throws {
        let files = SimulatedFileSystem()
        let first = try files.openDirectory("store")
        let second = try files.openDirectory("store")
        try files.lock(first)
        #expect(throws: FileSystemError.self) { try files.lock(second) }
        files.close(first)
        #expect(throws: Never.self) { try files.lock(second) }
    }

    // MARK: The store in it

    @Test func `A run on one disk is always the same`() throws {
        func calls() throws -> [SimulatedFileSystem.Call] {
            let files = SimulatedFileSystem(seed: 5)
            files.recordsCalls = true
            let store = try SimulatedStore(files, unixTime: CrashExplorer.beginning, tuning: LogTuning(growth: 1024))
            for number in 0..<5 { _ = store.call(.commit([.put(key("a"), [UInt8(number)], .never, if: .any)], [])) }
            store.close()
            return files.calls
        }
        #expect(try calls() == calls())
    }

    @Test func `Opening, a write and closing make these calls`() throws {
        let files = SimulatedFileSystem()
        files.recordsCalls = true
        let store = try SimulatedStore(files, unixTime: CrashExplorer.beginning, tuning: LogTuning(growth: 4096))
        _ = store.call(.commit([.put(key("a"), [1], .never, if: .any)], []))
        store.close()
        let changes = files.calls.filter { call in
            switch call.kind {
            case .create, .openOrCreate, .write, .sync, .rename, .unlink, .syncDirectory: true
            default: false
            }
        }
        let expected: [SimulatedFileSystem.Call] = [
            .init(kind: .openOrCreate, name: "LOCK"),
            .init(kind: .write, name: "LOCK", count: 16),
            .init(kind: .unlink, name: "log.tmp"),
            .init(kind: .create, name: "log.tmp"),
            .init(kind: .write, name: "log.tmp", offset: 512, count: 512),
            .init(kind: .write, name: "log.tmp", offset: 1024, count: 4096),
            .init(kind: .write, name: "log.tmp", count: 512),
            .init(kind: .sync, name: "log.tmp"),
            .init(kind: .rename, name: "log.tmp", newName: "log"),
            .init(kind: .syncDirectory, name: ""),
            .init(kind: .write, name: "LOCK", offset: 16, count: 10),
            .init(kind: .sync, name: "LOCK"),
            .init(kind: .write, name: "log.tmp", offset: 1024, count: 512),
            .init(kind: .sync, name: "log.tmp"),
            .init(kind: .write, name: "log.tmp", offset: 1536, count: 512),
            .init(kind: .sync, name: "log.tmp"),
        ]
        #expect(changes == expected)
        #expect(files.openCount == 0)
    }

    @Test func `An answer holds only when its batch is durable`() throws {
        let store = try SimulatedStore(SimulatedFileSystem(), unixTime: CrashExplorer.beginning, tuning: small)
        let write = store.submit(.commit([.put(key("a"), [1], .never, if: .any)], []))
        let read = store.submit(.get([key("a")]))
        #expect(store.told(write) == nil)
        #expect(store.told(read) == nil)
        store.beginStep()
        #expect(store.told(read) == nil)
        store.finishStep()
        #expect(store.told(write) == write.answer)
        #expect(store.told(read) == read.answer)
    }

    @Test func `What a full disk had no space for is no damage after a crash`() throws {
        let environment = CrashEnvironment(
            tuning: LogTuning(growth: 4096),
            probes: [.scan(prefix: StoreKey("test"), after: nil, limit: 9)]
        )
        func put(_ count: Int) -> StoreOperation {
            .commit([.put(key("a"), [UInt8](repeating: 1, count: count), .never, if: .any)], [])
        }
        let run = try CrashRun(environment, seed: 1, unixTime: CrashExplorer.beginning)
        run.limitSpace(to: 1000)
        run.mark()
        try run.call(put(6000))
        #expect(run.model.content(now: run.now).entries.isEmpty)
        try run.call(put(900))
        try run.reopen(unixTime: run.now)
        for point in run.points {
            let choices = (0..<20).flatMap { point.disk.crashChoices(randomSubsets: 0, seed: $0) }
            for choice in choices where !choice.mayBeRefused {
                _ = try CrashRun(
                    environment,
                    SimulatedFileSystem(point.disk.crashed(choice)),
                    point.witness,
                    unixTime: run.now,
                    keepsPoints: false,
                    checksTail: choice.isPossible
                )
            }
        }
    }

    // MARK: The witness

    /// A store in which a write was acknowledged, and another was not.
    private func acknowledged() throws -> CrashRun {
        let environment = CrashEnvironment(
            tuning: small,
            probes: [.scan(prefix: StoreKey("test"), after: nil, limit: 9)]
        )
        let run = try CrashRun(environment, seed: 1, unixTime: CrashExplorer.beginning)
        try run.call(.commit([.put(key("a"), [1], .after(.seconds(1)), if: .any)], []))
        return run
    }

    private func violation(_ run: CrashRun, _ disk: SimulatedDisk, unixTime: Int64? = nil) -> String? {
        do throws(Violation) {
            _ = try CrashRun(
                run.environment,
                SimulatedFileSystem(disk),
                run.witness,
                unixTime: unixTime ?? run.now,
                keepsPoints: false
            )
            return nil
        } catch {
            return error.description
        }
    }

    @Test func `What was acknowledged must be there`() throws {
        let run = try acknowledged()
        let before = run.disk
        try run.call(.commit([.put(key("b"), [2], .never, if: .any)], []))
        #expect(violation(run, run.disk.crashed(.nothing)) == nil)
        #expect(violation(run, before.crashed(.nothing))?.contains("contents") == true)
    }

    @Test func `What was not acknowledged may be there or not, and all of it`() throws {
        let run = try acknowledged()
        run.mark()
        try run.submit(.commit([.put(key("b"), [2], .never, if: .any), .delete(key("a"), if: .any)], []))
        let unknown = run.witness
        try run.settle()
        for point in run.points.dropLast() {
            #expect(point.witness.possible.count == unknown.possible.count)
            for choice in [CrashChoice.nothing, .everything] {
                #expect(throws: Never.self) {
                    try CrashRun(
                        run.environment,
                        SimulatedFileSystem(point.disk.crashed(choice)),
                        point.witness,
                        unixTime: run.now,
                        keepsPoints: false
                    )
                }
            }
        }
        #expect(unknown.possible.count == 2)
    }

    @Test func `What was read must be there`() throws {
        let run = try acknowledged()
        let before = run.disk
        run.mark()
        try run.submit(.commit([.put(key("b"), [2], .never, if: .any)], []))
        try run.submit(.get([key("b")]))
        // It is not told yet.
        #expect(violation(run, before.crashed(.nothing)) == nil)
        try run.settle()
        #expect(violation(run, before.crashed(.nothing)) != nil)
    }

    @Test func `What was said to be done must be there, also when somebody else did it`() throws {
        let run = try acknowledged()
        run.mark()
        try run.submit(.commit([.delete(key("a"), if: .any)], []))
        let disk = run.disk
        try run.call(.commit([.delete(key("a"), if: .any)], []))
        #expect(violation(run, disk.crashed(.nothing))?.contains("it has none") == true)
        #expect(violation(run, run.disk.crashed(.nothing)) == nil)
    }

    @Test func `A version is not issued again`() throws {
        let run = try acknowledged()
        try run.submit(.commit([.put(key("b"), [2], .never, if: .any)], []))
        let opened = try SimulatedStore(
            SimulatedFileSystem(run.disk.crashed(.nothing)),
            unixTime: run.now,
            tuning: small
        )
        let openedAt = try #require(opened.capabilities.openedAt)
        #expect(openedAt.rawValue >= run.witness.nextVersion)
        // A new store issues them all again.
        #expect(violation(run, SimulatedDisk())?.contains("issued again") == true)
    }

    @Test func `The clock goes on behind an expiry that was seen`() throws {
        let run = try acknowledged()
        let before = run.disk
        run.advance(by: 2_000_000_000)
        try run.call(.get([key("a")]))
        let expiry = try #require(run.model.content(now: 0).entries.first?.stored.expiresAt)
        #expect(run.witness.clockFloor >= expiry * 1_000_000)
        #expect(violation(run, run.disk.crashed(.nothing), unixTime: 0) == nil)
        #expect(violation(run, before.crashed(.nothing), unixTime: 0)?.contains("clock") == true)
    }

    @Test func `A closed store has to say so, and no other`() throws {
        let run = try acknowledged()
        let open = run.disk
        run.mark()
        try run.reopen(unixTime: run.now)
        let closed = try #require(run.points.first { $0.witness.isClosed })
        #expect(throws: Violation.self) {
            try CrashRun(
                run.environment,
                SimulatedFileSystem(open.crashed(.nothing)),
                closed.witness,
                unixTime: run.now,
                keepsPoints: false
            )
        }
        #expect(violation(run, closed.disk.crashed(.nothing)) != nil)
    }

    @Test func `A wrong answer is noticed`() throws {
        let run = try acknowledged()
        // Somebody writes behind the model's back.
        _ = run.store.call(.commit([.delete(key("a"), if: .any)], []))
        #expect(throws: Violation.self) { try run.call(.get([key("a")])) }
    }

    // MARK: The suites

    @Test(arguments: [0, 1, 40, 100, 700, 1500])
    func `Crashes in a small workload leave nothing wrong`(number: Int) throws {
        var explorer = CrashExplorer(workload: number, quota: 12)
        try explorer.explore()
        #expect(explorer.counts.states > 0)
    }

    @Test func `Workloads have each a number`() {
        let count = Workload.count(upTo: 2)
        #expect(Set((0..<count).map { Workload(number: $0) }).count == count)
        #expect(Workload(number: count - 1).steps.count == 2)
        #expect(Workload(number: count).steps.count == 3)
    }

    @Test func `Crashes in a random workload leave nothing wrong`() throws {
        var seed = CrashSeed(1)
        try seed.run()
        #expect(seed.counts.states > 0)
    }
}

import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation
import Testing

/// The states that the simulated file system leaves after a crash, and its faults.
@Suite("SimulatedFileSystem")
struct SimulatedFileSystemTests {
    private let sector = SimulatedDisk.sectorSize

    private func bytes(_ byte: UInt8, sectors: Int = 1) -> ArraySlice<UInt8> {
        ArraySlice(repeating: byte, count: sectors * sector)
    }

    /// A file system with a file of two durable sectors.
    private func twoSectors() throws -> (SimulatedFileSystem, OpenFile, OpenFile) {
        let files = SimulatedFileSystem()
        let directory = try files.openDirectory("store")
        let file = try files.createFile("a", in: directory)
        _ = try files.write(bytes(1, sectors: 2), to: file, at: 0)
        try files.sync(file)
        try files.syncDirectory(directory)
        return (files, file, directory)
    }

    // MARK: Crashes

    @Test("an unsynced write is lost or kept")
    func unsynced() throws {
        let (files, file, _) = try twoSectors()
        _ = try files.write(bytes(2, sectors: 3), to: file, at: 0)
        #expect(files.disk.crashed(.nothing).bytes(of: "a") == Array(bytes(1, sectors: 2)))
        #expect(files.disk.crashed(.everything).bytes(of: "a") == Array(bytes(2, sectors: 3)))
    }

    @Test("each sector is lost independently")
    func sectors() throws {
        let (files, file, _) = try twoSectors()
        _ = try files.write(bytes(2, sectors: 2), to: file, at: 0)
        #expect(files.disk.changes.count == 2)
        #expect(files.disk.crashed(.only(1)).bytes(of: "a") == Array(bytes(1) + bytes(2)))
        #expect(files.disk.crashed(.missing(1)).bytes(of: "a") == Array(bytes(2) + bytes(1)))
    }

    @Test("a sector that was written twice has the old, the first or the second content")
    func rewrittenSector() throws {
        let (files, file, _) = try twoSectors()
        _ = try files.write(bytes(2), to: file, at: 0)
        _ = try files.write(bytes(3), to: file, at: 0)
        let found = [CrashChoice.nothing, .prefix(1), .missing(0)].map { files.disk.crashed($0).bytes(of: "a")?.first }
        #expect(found == [1, 2, 3])
    }

    @Test("a file grows before the new part is written")
    func growth() throws {
        let (files, file, _) = try twoSectors()
        _ = try files.write(bytes(2), to: file, at: Int64(2 * sector))
        // The size changes first, then the sector.
        #expect(files.disk.crashed(.only(0)).bytes(of: "a") == Array(bytes(1, sectors: 2) + bytes(0)))
        #expect(files.disk.crashed(.only(1)).bytes(of: "a") == Array(bytes(1, sectors: 2)))
    }

    @Test("only a part that was never written may hold garbage")
    func garbage() throws {
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

    @Test("a torn sector has a new and an old part")
    func tornSector() throws {
        let (files, file, _) = try twoSectors()
        _ = try files.write(bytes(2), to: file, at: 0)
        let newFirst = files.disk.crashed(.torn(0, at: 10, newFirst: true)).bytes(of: "a")
        #expect(newFirst?.prefix(11) == [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1])
        let oldFirst = files.disk.crashed(.torn(0, at: 10, newFirst: false)).bytes(of: "a")
        #expect(oldFirst?.prefix(11) == [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2])
    }

    @Test("names and data become durable independently")
    func names() throws {
        let (files, _, directory) = try twoSectors()
        let new = try files.createFile("b", in: directory)
        _ = try files.write(bytes(9), to: new, at: 0)
        try files.unlink("a", in: directory)
        #expect(files.disk.crashed(.names(0b11, withData: false)).bytes(of: "a") == nil)
        #expect(files.disk.crashed(.names(0b11, withData: false)).bytes(of: "b") == [])
        #expect(files.disk.crashed(.names(0b00, withData: true)).bytes(of: "a") == Array(bytes(1, sectors: 2)))
        #expect(files.disk.crashed(.names(0b01, withData: true)).bytes(of: "b") == Array(bytes(9)))
        try files.sync(new)
        #expect(files.disk.crashed(.names(0b11, withData: false)).bytes(of: "b") == Array(bytes(9)))
    }

    @Test("a removal that was not synced may be undone")
    func removedFile() throws {
        let (files, _, directory) = try twoSectors()
        try files.unlink("a", in: directory)
        #expect(files.disk.crashed(.nothing).bytes(of: "a") == Array(bytes(1, sectors: 2)))
        try files.syncDirectory(directory)
        #expect(files.disk.crashed(.nothing).bytes(of: "a") == nil)
    }

    @Test("a killed process loses nothing, and unsynced data stays unsynced")
    func killed() throws {
        let (files, file, _) = try twoSectors()
        _ = try files.write(bytes(2), to: file, at: 0)
        let killed = files.disk.crashed(.kill)
        #expect(killed.bytes(of: "a") == Array(bytes(2) + bytes(1)))
        #expect(killed.crashed(.nothing).bytes(of: "a") == Array(bytes(1, sectors: 2)))
    }

    // MARK: Faults

    @Test("the next sync does not write the data of a failed sync", arguments: [true, false])
    func failedSync(cacheKeepsContent: Bool) throws {
        let (files, file, _) = try twoSectors()
        _ = try files.write(bytes(2), to: file, at: 0)
        files.fault = .init(.error, atCall: files.callCount + 1, cacheKeepsContent: cacheKeepsContent)
        #expect(throws: FileSystemError.self) { try files.sync(file) }
        #expect(files.disk.bytes(of: "a")?.first == (cacheKeepsContent ? 2 : 1))
        _ = try files.write(bytes(3), to: file, at: Int64(sector))
        #expect(files.misuse == nil)
        try files.sync(file)
        #expect(files.misuse == "a was synced again after a failed sync")
        #expect(files.disk.crashed(.nothing).bytes(of: "a") == Array(bytes(1) + bytes(3)))
    }

    @Test("a fault occurs once or at every later call")
    func faults() throws {
        let (files, file, _) = try twoSectors()
        files.fault = .init(.error, atCall: files.callCount + 2)
        #expect(throws: Never.self) { try files.size(of: file) }
        #expect(throws: FileSystemError.self) { try files.size(of: file) }
        #expect(throws: Never.self) { try files.size(of: file) }
        files.fault = .init(.error, atCall: files.callCount + 1, isPermanent: true)
        #expect(throws: FileSystemError.self) { try files.size(of: file) }
        #expect(throws: FileSystemError.self) { try files.sync(file) }
    }

    @Test("a full disk fails a call that needs space after half of its bytes")
    func fullDisk() throws {
        let (files, file, directory) = try twoSectors()
        files.fault = .init(.noSpace(writesHalf: true), atCall: 1, isPermanent: true)
        #expect(try files.write(bytes(2), to: file, at: 0) == sector)
        #expect(try files.write(bytes(2, sectors: 2), to: file, at: Int64(2 * sector)) == sector)
        #expect(throws: FileSystemError.self) { try files.createFile("b", in: directory) }
        #expect(throws: Never.self) { try files.sync(file) }
    }

    @Test("files have no more bytes than the disk")
    func capacity() throws {
        let (files, file, directory) = try twoSectors()
        files.capacity = 3 * sector
        #expect(try files.write(bytes(2, sectors: 4), to: file, at: 0) == 3 * sector)
        #expect(throws: FileSystemError.self) { try files.write(bytes(2), to: file, at: Int64(3 * sector)) }
        files.close(file)
        try files.unlink("a", in: directory)
        let other = try files.createFile("b", in: directory)
        #expect(try files.write(bytes(2), to: other, at: 0) == sector)
    }

    @Test("a loss of power fails a call and all later calls")
    func powerLoss() throws {
        let (files, file, directory) = try twoSectors()
        files.powerEndsAtChange = files.changeCount + 2
        _ = try files.write(bytes(2), to: file, at: 0)
        #expect(throws: FileSystemError.self) { try files.sync(file) }
        #expect(throws: FileSystemError.self) { try files.openFile("a", in: directory) }
        #expect(files.disk.changes.count == 1)
    }

    @Test("a directory has one owner")
    func owner() throws {
        let files = SimulatedFileSystem()
        let first = try files.openDirectory("store")
        let second = try files.openDirectory("store")
        try files.lock(first)
        #expect(throws: FileSystemError.self) { try files.lock(second) }
        files.close(first)
        #expect(throws: Never.self) { try files.lock(second) }
    }
}

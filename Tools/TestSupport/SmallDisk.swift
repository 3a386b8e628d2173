package import Foundation
internal import ReliabilityStore

#if os(Linux)
/// A small file system in memory.
package final class SmallDisk: Sendable {
    package let directory: URL

    /// Mounts the file system, which needs the rights of an administrator.
    package init(megabytes: Int) throws {
        directory = URL(filePath: "/tmp").appending(path: "disk-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let (status, text) = try Self.run("mount", "-t", "tmpfs", "-o", "size=\(megabytes)m", "tmpfs", directory.path)
        if status != 0 { throw StoreError(.failed, "mount: \(text)") }
    }

    /// A Boolean value that indicates whether this user may mount a file system.
    package static let isAllowed = geteuid() == 0 && (try? SmallDisk(megabytes: 1)) != nil

    private static func run(_ command: String...) throws -> (Int32, String) {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = command
        let pipe = Pipe()
        process.standardError = pipe
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }

    /// Fills the rest of the disk.
    package func fill() throws -> URL {
        let file = directory.appending(path: "filler")
        _ = try Self.run("dd", "if=/dev/zero", "of=\(file.path)", "bs=64k")
        return file
    }

    deinit {
        _ = try? Self.run("umount", "-l", directory.path)
        try? FileManager.default.removeItem(at: directory)
    }
}
#endif

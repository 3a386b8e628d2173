import Foundation
import Testing

@testable import NetworkChild

/// A process of `NetworkChild`, which ends with the test process at the latest.
final class ChildProcess: Sendable {
    let job: Job
    private let process = Process()
    private let input = Pipe()

    /// The executable, which is next to the test bundle.
    private static func executable() throws -> URL {
        let bundles = CommandLine.arguments.compactMap { argument -> URL? in
            guard let end = argument.range(of: ".xctest") else { return nil }
            return URL(fileURLWithPath: String(argument[..<end.lowerBound]))
        }
        let places = (bundles + [URL(fileURLWithPath: CommandLine.arguments[0])]).map {
            $0.deletingLastPathComponent().appendingPathComponent("NetworkChild")
        }
        return try #require(places.first { FileManager.default.isExecutableFile(atPath: $0.path) })
    }

    /// Starts a process, which opens its store and waits for ``begin()``.
    init(_ job: Job) throws {
        self.job = job
        let log = "\(job.directory)/log-\(job.process)"
        try Data().write(to: URL(filePath: log))
        process.executableURL = try Self.executable()
        process.arguments = job.arguments
        process.standardInput = input
        // A child that held the output of the tests would keep `swift test` from ending.
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle(forWritingAtPath: log)
        try process.run()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    /// Lets the process begin its work.
    func begin() throws { try input.fileHandleForWriting.write(contentsOf: Data("go\n".utf8)) }

    /// Ends the input of the process, which drains a relay.
    func endInput() { try? input.fileHandleForWriting.close() }

    /// Sends a signal to the process.
    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// The exit status, or `nil` while the process runs.
    var status: Int32? { process.isRunning ? nil : process.terminationStatus }
}

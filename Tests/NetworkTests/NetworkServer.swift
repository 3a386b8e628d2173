import Foundation
import ReliabilityRedis
import ReliabilityStore
import Testing

@testable import NetworkChild

/// A failure of a server while several processes work.
enum Fault: String, CaseIterable, Sendable {
    /// The server ends without a shutdown and starts again.
    case killed
    /// The server ends in an orderly way and starts again.
    case restarted
    /// The server answers nothing for longer than the time limit of a call.
    case paused
    /// The server closes all connections several times.
    case terminated
    /// The server has no space for new data for some time.
    case full
    /// A replica with all acknowledged writes takes the place of the server, which ends.
    case promoted
    /// The server loses its content.
    case flushed

    /// The time for which a server is paused, which exceeds the time limits of `NetworkChild`.
    static let pauseDuration = Duration.milliseconds(1500)
    /// The number of terminations of all connections.
    static let terminations = 5
}

/// A kind of server.
enum Backend: String, CaseIterable, Sendable {
    case redis
    #if LibPQ
    case postgres
    #endif

    /// The faults that the server can have.
    var faults: [Fault] {
        switch self {
        case .redis: Fault.allCases
        #if LibPQ
        case .postgres:
            Fault.allCases.filter { $0 != .flushed && ($0 != .full || PostgresNetworkServer.canBeFull) }
        #endif
        }
    }

    /// Starts a server, or uses the shared server.
    ///
    /// - Parameter fault: The later fault, or `nil` for no fault.
    /// - Returns: The server.
    /// - Throws: An error if the server does not start.
    func server(for fault: Fault?) async throws -> any NetworkServer {
        switch self {
        case .redis: try await RedisNetworkServer(hasReplica: fault == .promoted)
        #if LibPQ
        case .postgres: try await PostgresNetworkServer(hasReplica: fault == .promoted)
        #endif
        }
    }
}

/// A server whose address stays the same during all faults.
protocol NetworkServer: Sendable {
    /// The URL for `NetworkChild`.
    var address: String { get }

    /// Prepares a new store and returns its name.
    func makeStore() async throws -> String

    /// Makes the server fail and work again.
    ///
    /// - Parameters:
    ///   - fault: The fault.
    ///   - run: The processes that use the server.
    /// - Throws: An error if the server does not work again.
    func inflict(_ fault: Fault, on run: NetworkRun) async throws
}

/// A Redis server that has each acknowledged write on its disk.
final class RedisNetworkServer: NetworkServer {
    private let server: RedisServer
    private let replica: RedisServer?
    /// The symbolic link to the socket of the primary.
    private let link: String

    init(hasReplica: Bool) async throws {
        let durable = ["--appendonly", "yes", "--appendfsync", "always"]
        server = try RedisServer(durable, hasPort: hasReplica)
        link = "\(server.directory.path)-link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: server.socketPath)
        try await server.command("PING")
        guard hasReplica else {
            replica = nil
            return
        }
        replica = try RedisServer(durable + ["--replicaof", "127.0.0.1", "\(server.port)"], hasPort: true)
        try await waitUntil { try await Self.information("replication", of: server).contains("state=online") }
    }

    deinit { try? FileManager.default.removeItem(atPath: link) }

    var address: String { "unix://\(link)" }

    func makeStore() async throws -> String { "store-\(UUID().uuidString.prefix(8))" }

    private static func information(_ section: String, of server: RedisServer) async throws -> String {
        guard case .bytes(let bytes) = try await server.command("INFO", section) else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func closeConnections() async throws { try await server.command("CLIENT", "KILL", "TYPE", "normal") }

    func inflict(_ fault: Fault, on run: NetworkRun) async throws {
        switch fault {
        case .killed: try server.restart()
        case .restarted:
            // The server answers with the end of the connection.
            _ = try? await server.command("SHUTDOWN")
            let log = server.directory.appending(path: "log")
            try await waitUntil { try String(contentsOf: log, encoding: .utf8).contains("bye bye") }
            try server.restart()
        case .paused:
            server.signal(SIGSTOP)
            // The pause has to exceed the time limits of the processes.
            try await Task.sleep(for: Fault.pauseDuration)
            server.signal(SIGCONT)
        case .terminated:
            for round in 1...Fault.terminations {
                try await closeConnections()
                try await run.waitForProgress("termination \(round)")
            }
        case .full:
            // With a limit of one byte, each command that needs memory is rejected.
            try await server.command("CONFIG", "SET", "maxmemory", "1")
            try await run.waitForEvent("store.capacity_exceeded")
            try await server.command("CONFIG", "SET", "maxmemory", "0")
        case .promoted: try await promote()
        case .flushed:
            try await server.command("FLUSHALL")
            run.recordFlush()
            // A process finds the loss at the next check of its connection.
            try await closeConnections()
            try await run.waitForEvent("storeWasEmptied")
        }
    }

    /// Waits until the replica has each write, makes the replica the primary and kills the old primary.
    private func promote() async throws {
        let replica = try #require(replica)
        try await server.command("FAILOVER", "TO", "127.0.0.1", "\(replica.port)", "TIMEOUT", "20000")
        // The old primary becomes a replica before the new primary has agreed.
        try await waitUntil { try await Self.information("replication", of: replica).contains("role:master") }
        let next = link + "-next"
        try FileManager.default.createSymbolicLink(atPath: next, withDestinationPath: replica.socketPath)
        guard unsafe rename(next, link) == 0 else { throw CocoaError(.fileWriteUnknown) }
        server.kill()
    }
}

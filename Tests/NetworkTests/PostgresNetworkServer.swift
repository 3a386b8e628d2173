#if LibPQ
import Foundation
import ReliabilityLibPQ
import ReliabilityPostgres
import TestSupport
import Testing

@testable import NetworkChild

/// A PostgreSQL server, possibly with a standby that confirms each commit.
final class PostgresNetworkServer: NetworkServer {
    private let server: PostgresServer
    private let standby: PostgresServer?
    let address: String

    init(hasReplica: Bool) async throws {
        server = try #require(hasReplica ? PostgresServer() : PostgresServer.shared)
        try await server.waitUntilReady()
        guard hasReplica else {
            standby = nil
            address = Self.address(of: [server])
            return
        }
        let standby = try PostgresServer(replicaOf: server)
        self.standby = standby
        address = Self.address(of: [server, standby])
        try await standby.waitUntilReady()
        let admin = try await server.connect(.init(maxConnections: 1))
        try await admin.run("ALTER SYSTEM SET synchronous_standby_names = '*'")
        try await admin.run("SELECT pg_reload_conf()")
        try await waitUntil { try await admin.text("SELECT max(sync_state) FROM pg_stat_replication") == "sync" }
        await admin.close()
    }

    private static func address(of servers: [PostgresServer]) -> String {
        let hosts = servers.map { $0.directory.replacing("/", with: "%2F") }
        return "postgres://postgres@\(hosts.joined(separator: ","))/postgres"
    }

    func makeStore() async throws -> String {
        let schema = "n_\(String(UInt64.random(in: 0...(.max)), radix: 36))"
        let admin = try await server.connect(.init(maxConnections: 1))
        try await PostgresSchema.migrate(admin, schema: schema)
        await admin.close()
        return schema
    }

    func inflict(_ fault: Fault, on run: NetworkRun) async throws {
        switch fault {
        case .killed:
            // An immediate shutdown ends the server like a crash.
            try server.signal(SIGQUIT)
            try server.restart()
        case .restarted:
            try server.signal(SIGINT)
            try server.restart()
        case .paused: try await pause()
        case .terminated: try await terminate(run)
        case .full: try await fill(run)
        case .promoted:
            server.stop()
            let admin = try #require(standby).address() + " target_session_attrs=any"
            let client = try LibPQTransport(admin, configuration: .init(maxConnections: 1))
            try await client.run("SELECT pg_promote()")
            await client.close()
        case .flushed: Issue.record("PostgreSQL has no such fault")
        }
    }

    /// Stops all processes of the server for a time.
    private func pause() async throws {
        let postmaster = try server.processIdentifier
        // The first process starts no further process while it is stopped.
        kill(postmaster, SIGSTOP)
        let path = "/proc/\(postmaster)/task/\(postmaster)/children"
        let children = try String(contentsOfFile: path, encoding: .utf8).split(separator: " ").compactMap { Int32($0) }
        for child in children { kill(child, SIGSTOP) }
        // The pause has to exceed the time limits of the processes.
        try await Task.sleep(for: Fault.pauseDuration)
        for child in children + [postmaster] { kill(child, SIGCONT) }
    }

    private func terminate(_ run: NetworkRun) async throws {
        let admin = try await server.connect(.init(maxConnections: 1))
        for round in 1...Fault.terminations {
            try await admin.run(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
                """
            )
            try await run.waitForProgress("termination \(round)")
        }
        await admin.close()
    }

    /// Moves the tables of the store to a small file system, fills the file system for some time and moves them back.
    private func fill(_ run: NetworkRun) async throws {
        #if os(Linux)
        let disk = try SmallDisk(megabytes: 4)
        let files = FileManager.default
        try files.setAttributes([.ownerAccountName: "postgres"], ofItemAtPath: disk.directory.path)
        let admin = try await server.connect(.init(maxConnections: 1, serverLimits: nil))
        let schema = run.storeName
        func moveTables(to tablespace: String) async throws {
            for table in ["entry", "record"] {
                try await admin.run("ALTER TABLE \(schema).\(table) SET TABLESPACE \(tablespace)")
            }
        }
        try await admin.run("CREATE TABLESPACE \(schema) LOCATION '\(disk.directory.path)'")
        try await moveTables(to: schema)
        let filler = try disk.fill()
        var failure: (any Error)?
        do { try await run.waitForEvent("store.disk_full") } catch { failure = error }
        // The shared server must not lose files with the small file system.
        try files.removeItem(at: filler)
        try await moveTables(to: "pg_default")
        try await admin.run("DROP TABLESPACE \(schema)")
        await admin.close()
        if let failure { throw failure }
        #endif
    }

    /// A Boolean value that indicates whether a test may fill a file system.
    static var canBeFull: Bool {
        #if os(Linux)
        SmallDisk.isAllowed
        #else
        false
        #endif
    }
}
#endif

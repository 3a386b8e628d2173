import Foundation
import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import NetworkChild

/// Processes over one store, and the files with their effects.
final class NetworkRun: Sendable {
    let server: any NetworkServer
    let storeName: String
    let directory: String
    /// The seed of the moments of the faults.
    let seed: UInt64
    private struct State {
        var children: [ChildProcess] = []
        var generator: SeededGenerator
        var sentBeforeFlush: Int?
    }
    private let state: Lock<State>

    /// Prepares a new store.
    init(_ backend: Backend, for fault: Fault? = nil) async throws {
        let environment = ProcessInfo.processInfo.environment["RELIABILITY_SEED"]
        seed = environment.flatMap { UInt64($0) } ?? .random(in: 0...9_999_999)
        state = Lock(State(generator: SeededGenerator(seed: seed)))
        directory = "/tmp/network-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        server = try await backend.server(for: fault)
        storeName = try await server.makeStore()
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    /// Returns the number of lines in `deliveries` at which a fault begins.
    func moment(_ range: ClosedRange<Int>) -> Int { state.withLock { Int.random(in: range, using: &$0.generator) } }

    // MARK: Processes

    var children: [ChildProcess] { state.withLock { $0.children } }
    var workers: [ChildProcess] { children.filter { !$0.job.isRelay } }
    var relays: [ChildProcess] { children.filter(\.job.isRelay) }

    /// Starts a process and waits until its store is open.
    @discardableResult
    func start(
        _ process: String,
        _ roles: Job.Role...,
        lease: Int = 3000,
        mistake: Job.Mistake? = nil
    ) async throws -> ChildProcess {
        let job = Job(
            address: server.address,
            storeName: storeName,
            directory: directory,
            process: process,
            roles: roles,
            lease: lease,
            mistake: mistake
        )
        let child = try ChildProcess(job)
        state.withLock { $0.children.append(child) }
        try await wait("\(process) is ready") { lines(.ready).contains(process) }
        return child
    }

    /// Lets all processes begin their work simultaneously.
    func begin() throws { for child in children { try child.begin() } }

    /// Waits for the end of the workers and of the last message, and ends the relays.
    func finish() async throws {
        try await wait("the workers end") { workers.allSatisfy { $0.status != nil } }
        for worker in workers { #expect(worker.status == 0, "\(worker.job.process) failed; \(explanation)") }
        let store = try await eventuallyOpen()
        let queue = RelayWork.queue.name
        if !relays.isEmpty {
            try await wait("all messages are delivered") { try? await store.counts(queue).pending == 0 }
            #expect(try await store.counts(queue) == RecordCounts(pending: 0, deadLetters: 0), "\(explanation)")
        }
        for relay in relays { relay.endInput() }
        try await wait("the relays end") { relays.allSatisfy { $0.status != nil } }
    }

    /// Opens the store in this process.
    func eventuallyOpen() async throws -> any RecordStore {
        let store = Lock<(any RecordStore)?>(nil)
        try await wait("the store opens") {
            let opened = try? await openStore(at: server.address, named: storeName)
            store.withLock { $0 = opened }
            return opened != nil
        }
        return try #require(store.withLock { $0 })
    }

    /// Lets a holding relay return from its deliveries.
    func release(_ process: String) throws {
        try Data().write(to: URL(filePath: "\(directory)/release-\(process)"))
    }

    // MARK: The sink

    /// The complete lines of a file.
    func lines(_ file: Sink.File) -> [String] {
        let text = (try? String(contentsOfFile: "\(directory)/\(file.rawValue)", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").map(String.init)
    }

    func recordFlush() {
        let count = lines(.sent).count
        state.withLock { $0.sentBeforeFlush = count }
    }

    /// The number of messages whose first commit began before the content was lost, or `nil` without a loss.
    var sentBeforeFlush: Int? { state.withLock { $0.sentBeforeFlush } }

    /// The seed and the last events.
    var explanation: Comment {
        let logs = children.map { "log-\($0.job.process)" }.compactMap {
            try? String(contentsOfFile: "\(directory)/\($0)", encoding: .utf8)
        }
        return """
            again, though not with the same timing: RELIABILITY_SEED=\(seed)
            \((lines(.events).suffix(40) + logs.filter { !$0.isEmpty }).joined(separator: "\n"))
            """
    }

    // MARK: Waiting

    /// Waits for a condition, at most a minute.
    func wait(_ what: String, _ condition: () async throws -> Bool?) async throws {
        let start = ContinuousClock.now
        while try await condition() != true {
            try #require(ContinuousClock.now - start < .seconds(60), "timeout: \(what); \(explanation)")
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Waits until the relays have written a number of lines.
    func waitForDeliveries(_ count: Int) async throws {
        try await wait("\(count) lines of deliveries") { lines(.deliveries).count >= count }
    }

    /// Waits until a process has reported an event.
    func waitForEvent(_ text: String) async throws {
        try await wait(text) { lines(.events).contains { $0.contains(text) } }
    }

    /// Waits until a further message is delivered or all work is done.
    func waitForProgress(_ what: String) async throws {
        let before = lines(.deliveries).count
        try await wait(what) {
            lines(.deliveries).count > before || workers.allSatisfy { $0.status != nil }
        }
    }
}

extension Job {
    fileprivate var isRelay: Bool { roles == [.relay] || roles == [.holdingRelay] }
}

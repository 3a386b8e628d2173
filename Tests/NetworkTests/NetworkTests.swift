import Foundation
import Outbox
import ReliabilityStore
import Testing

@testable import NetworkChild

/// A fault of a kind of server.
struct FaultCase: Sendable, CustomTestStringConvertible {
    let backend: Backend
    let fault: Fault

    static let all = Backend.allCases.flatMap { backend in
        backend.faults.map { FaultCase(backend: backend, fault: $0) }
    }

    var testDescription: String { "\(backend), \(fault)" }
}

/// Several processes share a store on a real server.
///
/// `RELIABILITY_SEED` is the seed of the moments of the faults.
@Suite("Several processes over a server", .serialized, .enabled(if: RedisServer.isEnabled))
struct NetworkTests {
    @Test(
        "equal requests of several processes run once, and limits hold across processes",
        arguments: Backend.allCases,
        [2, 4]
    )
    func shared(backend: Backend, processes: Int) async throws {
        let run = try await NetworkRun(backend)
        for number in 1...processes { try await run.start("w\(number)", .dedup, .limit, lease: 30_000) }
        try run.begin()
        try await run.finish()
        #expect(run.problems() == [], "\(run.explanation)")
    }

    @Test("no effect is lost or doubled by a fault of the server", arguments: FaultCase.all)
    func fault(_ test: FaultCase) async throws {
        let run = try await NetworkRun(test.backend, for: test.fault)
        for name in ["w1", "w2"] { try await run.start(name, .dedup, .limit, .produce, lease: 30_000) }
        for name in ["w3", "w4"] { try await run.start(name, .dedup, .limit, lease: 30_000) }
        for name in ["r1", "r2"] { try await run.start(name, .relay) }
        try run.begin()
        try await run.waitForDeliveries(run.moment(10...60))
        try await run.server.inflict(test.fault, on: run)
        try await run.finish()
        let interruptions = Interruptions(serverFailed: true, wasFull: test.fault == .full)
        #expect(run.problems(interruptions) == [], "\(run.explanation)")
        // A fault that no process has noticed proves nothing.
        #expect(run.lines(.events).contains { $0.contains("commit:") || $0.contains("storeDown") })
    }

    @Test("a killed and a suspended relay lose no message", arguments: Backend.allCases)
    func relays(backend: Backend) async throws {
        let lease = 1000
        let run = try await NetworkRun(backend)
        for name in ["w1", "w2", "w3", "w4"] { try await run.start(name, .produce) }
        let suspended = try await run.start("r1", .relay, lease: lease)
        let killed = try await run.start("r2", .relay, lease: lease)
        try run.begin()
        try await run.waitForDeliveries(run.moment(10...40))
        killed.signal(SIGKILL)
        try await run.start("r3", .relay, lease: lease).begin()
        try await run.waitForDeliveries(run.lines(.deliveries).count + run.moment(5...20))
        suspended.signal(SIGSTOP)
        // The lease has to end.
        try await Task.sleep(for: .milliseconds(lease * 3 / 2))
        suspended.signal(SIGCONT)
        try await run.finish()
        #expect(run.problems(Interruptions(suspended: ["r1"], killed: ["r2"])) == [], "\(run.explanation)")
        #expect(suspended.status == 0)
    }

    @Test("a relay that was suspended past its lease cannot settle a message", arguments: Backend.allCases)
    func fencing(backend: Backend) async throws {
        let run = try await NetworkRun(backend)
        let store = try await run.eventuallyOpen()
        let outbox = OutboxQueue(RelayWork.queue, store: store, storeFailure: .failClosed())
        try await outbox.commit([], sending: [OutboxMessage(id: "m", topic: "order", payload: [])])
        let first = try await run.start("r1", .holdingRelay, lease: 1000)
        try first.begin()
        try await run.waitForDeliveries(1)
        first.signal(SIGSTOP)
        try await run.start("r2", .holdingRelay, lease: 1000).begin()
        try await run.waitForDeliveries(2)
        first.signal(SIGCONT)
        try run.release("r1")
        try await run.wait("the first delivery ends") {
            run.lines(.deliveries).count > 2 || run.lines(.events).contains { $0.hasPrefix("r1 leaseLost") }
        }
        #expect(try await outbox.counts().pending == 1)
        try run.release("r2")
        try await run.finish()
        #expect(run.lines(.deliveries) == ["delivered m r1", "delivered m r2", "settled m r2"], "\(run.explanation)")
    }

    @Test("the request of a killed process is taken over once", arguments: Backend.allCases)
    func takeover(backend: Backend) async throws {
        let run = try await NetworkRun(backend)
        let killed = try await run.start("w0", .hang, lease: 1000)
        try killed.begin()
        try await run.wait("the operation runs") { run.lines(.charges).count == 1 }
        let others = ["w1", "w2", "w3"]
        for name in others { try await run.start(name, .dedup, lease: 1000) }
        for child in run.workers where child !== killed { try child.begin() }
        // The other processes find a claim that is held.
        try await Task.sleep(for: .milliseconds(1500))
        #expect(run.lines(.charges) == ["key0 w0 first"])
        killed.signal(SIGKILL)
        try await run.wait("the processes end") { run.workers.allSatisfy { $0.status != nil } }
        let runs = run.lines(.charges).filter { $0.hasPrefix("key0 ") }
        #expect(runs.count == 2 && runs.last?.hasSuffix("takeover") == true, "\(runs); \(run.explanation)")
        let results = Set(run.lines(.answers).filter { $0.hasPrefix("key0 ") })
        #expect(results.count == 1, "\(results); \(run.explanation)")
    }

    @Test("the checks find processes that work wrongly", arguments: Job.Mistake.allCases)
    func mistakes(_ mistake: Job.Mistake) async throws {
        let run = try await NetworkRun(.redis)
        switch mistake {
        case .requestOfProcess, .limitOfProcess:
            for name in ["w1", "w2"] { try await run.start(name, .dedup, .limit, lease: 30_000, mistake: mistake) }
            try run.begin()
        case .effectAfterReturn:
            try await run.start("w1", .produce)
            let killed = try await run.start("r1", .relay, lease: 1000, mistake: mistake)
            try run.begin()
            try await run.waitForDeliveries(10)
            killed.signal(SIGKILL)
            try await run.start("r2", .relay, lease: 1000).begin()
        }
        try await run.finish()
        let problems = run.problems(Interruptions(killed: ["r1"])).joined(separator: "\n")
        switch mistake {
        case .requestOfProcess: #expect(problems.contains("2 runs for key0"))
        case .limitOfProcess: #expect(problems.contains("\(2 * Job.limit) calls of \(Job.limit)"))
        case .effectAfterReturn: #expect(problems.contains("lost: "))
        }
    }
}

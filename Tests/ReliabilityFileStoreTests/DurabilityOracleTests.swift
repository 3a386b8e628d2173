import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation
import Testing

@Suite("DurabilityOracle")
struct DurabilityOracleTests {
    /// A run with an acknowledged write.
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
                run.oracle,
                unixTime: unixTime ?? run.now,
                keepsPoints: false
            )
            return nil
        } catch {
            return error.description
        }
    }

    @Test("an acknowledged write must survive")
    func acknowledgedWrite() throws {
        let run = try acknowledged()
        let before = run.disk
        try run.call(.commit([.put(key("b"), [2], .never, if: .any)], []))
        #expect(violation(run, run.disk.crashed(.nothing)) == nil)
        #expect(violation(run, before.crashed(.nothing))?.contains("contents") == true)
    }

    @Test("an unacknowledged write may survive as a whole or not at all")
    func unacknowledgedWrite() throws {
        let run = try acknowledged()
        run.mark()
        try run.submit(.commit([.put(key("b"), [2], .never, if: .any), .delete(key("a"), if: .any)], []))
        let unknown = run.oracle
        try run.settle()
        for point in run.points.dropLast() {
            #expect(point.oracle.possible.count == unknown.possible.count)
            for choice in [CrashChoice.nothing, .everything] {
                #expect(throws: Never.self) {
                    try CrashRun(
                        run.environment,
                        SimulatedFileSystem(point.disk.crashed(choice)),
                        point.oracle,
                        unixTime: run.now,
                        keepsPoints: false
                    )
                }
            }
        }
        #expect(unknown.possible.count == 2)
    }

    @Test("a write that was read must survive")
    func readWrite() throws {
        let run = try acknowledged()
        let before = run.disk
        run.mark()
        try run.submit(.commit([.put(key("b"), [2], .never, if: .any)], []))
        try run.submit(.get([key("b")]))
        // The answer is not given yet.
        #expect(violation(run, before.crashed(.nothing)) == nil)
        try run.settle()
        #expect(violation(run, before.crashed(.nothing)) != nil)
    }

    @Test("an acknowledged deletion must survive although an earlier call made it")
    func repeatedDeletion() throws {
        let run = try acknowledged()
        run.mark()
        try run.submit(.commit([.delete(key("a"), if: .any)], []))
        let disk = run.disk
        try run.call(.commit([.delete(key("a"), if: .any)], []))
        #expect(violation(run, disk.crashed(.nothing))?.contains("it has none") == true)
        #expect(violation(run, run.disk.crashed(.nothing)) == nil)
    }

    @Test("a version is not issued again")
    func versions() throws {
        let run = try acknowledged()
        try run.submit(.commit([.put(key("b"), [2], .never, if: .any)], []))
        let opened = try SimulatedStore(
            SimulatedFileSystem(run.disk.crashed(.nothing)),
            unixTime: run.now,
            tuning: small
        )
        let openedAt = try #require(opened.capabilities.openedAt)
        #expect(openedAt.rawValue >= run.oracle.nextVersion)
        // A new store issues all versions again.
        #expect(violation(run, SimulatedDisk())?.contains("issued again") == true)
    }

    @Test("the clock continues after an expiry that was shown")
    func clock() throws {
        let run = try acknowledged()
        let before = run.disk
        run.advance(by: 2_000_000_000)
        try run.call(.get([key("a")]))
        let expiry = try #require(run.model.content(now: 0).entries.first?.stored.expiresAt)
        #expect(run.oracle.clockFloor >= expiry * 1_000_000)
        #expect(violation(run, run.disk.crashed(.nothing), unixTime: 0) == nil)
        #expect(violation(run, before.crashed(.nothing), unixTime: 0)?.contains("clock") == true)
    }

    @Test("only a closed store may report that it was closed")
    func closed() throws {
        let run = try acknowledged()
        let open = run.disk
        run.mark()
        try run.reopen(unixTime: run.now)
        let closed = try #require(run.points.first { $0.oracle.isClosed })
        #expect(throws: Violation.self) {
            try CrashRun(
                run.environment,
                SimulatedFileSystem(open.crashed(.nothing)),
                closed.oracle,
                unixTime: run.now,
                keepsPoints: false
            )
        }
        #expect(violation(run, closed.disk.crashed(.nothing)) != nil)
    }

    @Test("a wrong answer is a violation")
    func wrongAnswer() throws {
        let run = try acknowledged()
        // A write that the model does not have.
        _ = run.store.call(.commit([.delete(key("a"), if: .any)], []))
        #expect(throws: Violation.self) { try run.call(.get([key("a")])) }
    }
}

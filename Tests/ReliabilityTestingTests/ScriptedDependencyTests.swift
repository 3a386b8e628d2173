import ReliabilityCore
import ReliabilityTesting
import Testing

@Suite("ScriptedDependency")
struct ScriptedDependencyTests {
    private static func reason(_ call: () async throws -> Void) async -> DependencyError.Reason? {
        do { try await call() } catch { return (error as? DependencyError)?.reason }
        return nil
    }

    @Test("the history has concurrent calls in the order of arrival, each with one end")
    func concurrent() async throws {
        let bank = ScriptedDependency([.zero: .healthy(errorRate: 0.5, capacity: 3)], clock: ContinuousClock())
        let failures = await withTaskGroup { group in
            for _ in 0..<16 {
                group.addTask {
                    var failures = 0
                    for _ in 0..<2000 { if await Self.reason({ try await bank.call() }) != nil { failures += 1 } }
                    return failures
                }
            }
            return await group.reduce(0, +)
        }
        let calls = bank.history.calls
        #expect(calls.count == 32_000)
        #expect(bank.inFlight == 0)
        #expect(calls.count { $0.outcome == .failed } == failures)
        #expect(zip(calls, calls.dropFirst()).allSatisfy { $0.arrival <= $1.arrival })
        #expect(calls.allSatisfy { call in call.end.map { $0 >= call.arrival } == true })
    }

    @Test("the phase at the arrival decides the outcome")
    func phases() throws {
        try Simulation.run(seed: 1) { simulation in
            let clock = simulation.clock
            let bank = ScriptedDependency(
                [
                    .zero: .healthy(latency: .seconds(1)...(.seconds(1))),
                    .seconds(10): .failing(latency: .seconds(2)...(.seconds(2))),
                    .seconds(20): .refusing,
                    .seconds(30): .throttling(retryAfter: .seconds(5)),
                    .seconds(40): .hanging,
                    .seconds(50): .healthy(),
                ],
                clock: clock
            )
            #expect(try await bank.call { 7 } == 7)
            try await clock.sleep(for: .milliseconds(8500))
            // The call arrives in the healthy phase and ends later.
            #expect(await Self.reason { try await bank.call() } == nil)
            #expect(await Self.reason { try await bank.call() } == .failed)
            try await clock.sleep(for: .seconds(8))
            #expect(await Self.reason { try await bank.call() } == .refused)
            try await clock.sleep(for: .seconds(10))
            #expect(await Self.reason { try await bank.call() } == .throttled(retryAfter: .seconds(5)))
            try await clock.sleep(for: .seconds(10))
            #expect(await Self.reason { try await bank.call() } == .disconnected)
            #expect(await Self.reason { try await bank.call() } == nil)
            #expect(bank.history.calls.map(\.phase) == [0, 0, 1, 2, 3, 4, 5])
            #expect(
                bank.history.calls.map(\.arrival)[4...] == [.milliseconds(30_500), .milliseconds(40_500), .seconds(50)]
            )
            #expect(bank.history.count(inPhase: 0) == 2)
            #expect(bank.inFlight == 0)
        }
    }

    @Test("an error reports whether the request may have been sent")
    func mayHaveBeenSent() async {
        for (behavior, expected) in [
            (DependencyBehavior.refusing, false), (.throttling(retryAfter: nil), false), (.failing(), true),
        ] {
            let bank = ScriptedDependency([.zero: behavior], clock: ManualClock())
            let error = await #expect(throws: DependencyError.self) { try await bank.call() }
            #expect(error?.mayHaveBeenSent == expected)
        }
    }

    @Test("a call that honours cancellation ends immediately, and any other call at its answer")
    func cancellation() throws {
        for (honours, end) in [(true, Duration.seconds(1)), (false, .seconds(5))] {
            try Simulation.run(seed: 1) { simulation in
                let bank = ScriptedDependency(
                    [.zero: .hanging, .seconds(5): .healthy()],
                    honoursCancellation: honours,
                    clock: simulation.clock
                )
                let task = simulation.spawn { try await bank.call() }
                try await simulation.clock.sleep(for: .seconds(1))
                task.cancel()
                _ = await task.result
                #expect(bank.history.calls.first?.end == end)
                #expect(bank.history.calls.first?.outcome == (honours ? .cancelled : .disconnected))
                #expect(simulation.clock.sleeperCount == 0)
            }
        }
    }

    @Test("the seed determines latency and errors at the given rate")
    func drawn() throws {
        func outcomes(_ seed: UInt64) throws -> CallHistory {
            let histories = EventRecorder<CallHistory>()
            try Simulation.run(seed: 1) { simulation in
                let bank = ScriptedDependency(
                    [.zero: .healthy(latency: .milliseconds(10)...(.milliseconds(90)), errorRate: 0.3)],
                    clock: simulation.clock,
                    seed: seed
                )
                for _ in 0..<1000 { try? await bank.call() }
                histories.record(bank.history)
            }
            return try #require(histories.events.first)
        }
        let history = try outcomes(5)
        #expect((250...350).contains(history.calls.count { $0.outcome == .failed }))
        let latencies = history.calls.map { ($0.end ?? .zero) - $0.arrival }
        #expect(latencies.allSatisfy { (.milliseconds(10)...(.milliseconds(90))).contains($0) })
        #expect(Set(latencies).count > 900)
        #expect(try outcomes(5) == history)
        #expect(try outcomes(6) != history)
    }

    @Test("latency grows with the calls above the capacity")
    func capacity() throws {
        try Simulation.run(seed: 1) { simulation in
            let bank = ScriptedDependency(
                [.zero: .healthy(latency: .seconds(1)...(.seconds(1)), capacity: 2)],
                clock: simulation.clock
            )
            for _ in 0..<4 { simulation.spawn { try await bank.call() } }
            await simulation.waitForClients()
            #expect(bank.history.calls.map(\.end) == [.seconds(1), .seconds(1), .milliseconds(1500), .seconds(2)])
            #expect(bank.history.peakConcurrency == 4)
        }
    }

    @Test("a script that does not begin at zero or does not advance is rejected")
    func invalidScript() async {
        await #expect(processExitsWith: .failure) {
            _ = ScriptedDependency([.seconds(1): .healthy()], clock: ManualClock())
        }
        await #expect(processExitsWith: .failure) {
            _ = ScriptedDependency([.zero: .healthy(), .zero: .hanging], clock: ManualClock())
        }
    }
}

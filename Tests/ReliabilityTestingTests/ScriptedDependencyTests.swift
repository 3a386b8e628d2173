import ReliabilityCore
import ReliabilityTesting
import Testing

@Suite("ScriptedDependency")
struct ScriptedDependencyTests {
    private static func reason(_ call: () async throws -> Void) async -> DependencyError.Reason? {
        do { try await call() } catch { return (error as? DependencyError)?.reason }
        return nil
    }

    @Test("calls from many threads are all in the history, in the order of their arrival, each ended once")
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

    @Test("the phase in which a call arrives decides how it ends")
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
            // It arrives when the bank is well, and ends later.
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

    @Test("what was not sent says so")
    func mayHaveBeenSent() async {
        for (behavior, expected) in [
            (DependencyBehavior.refusing, false), (.throttling(retryAfter: nil), false), (.failing(), true),
        ] {
            let bank = ScriptedDependency([.zero: behavior], clock: ManualClock())
            let error = await #expect(throws: DependencyError.self) { try await bank.call() }
            #expect(error?.mayHaveBeenSent == expected)
        }
    }

    @Test("a call that honours cancellation ends at once, one that ignores it when there is an answer")
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

    @Test("latency and errors are drawn from the seed, at the rate that was given")
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

    @Test("above its capacity it is slower, the more so the more calls there are")
    func capacity() throws {
        try Simulation.run(seed: 1) { simulation in
            let bank = ScriptedDependency(
                [.zero: .healthy(latency: .seconds(1)...(.seconds(1)), capacity: 2)],
                clock: simulation.clock
            )
            for _ in 0..<4 { simulation.spawn { try await bank.call() } }
            await simulation.waitForClients()
            #expect(bank.history.calls.map(\.end) == [.seconds(1), .seconds(1), .milliseconds(1500), .seconds(2)])
            #expect(bank.history.highestConcurrency == 4)
        }
    }

    @Test("a script begins at zero and goes forward")
    func badScript() async {
        await #expect(processExitsWith: .failure) {
            _ = ScriptedDependency([.seconds(1): .healthy()], clock: ManualClock())
        }
        await #expect(processExitsWith: .failure) {
            _ = ScriptedDependency([.zero: .healthy(), .zero: .hanging], clock: ManualClock())
        }
    }
}

@Suite("CallRule")
struct CallRuleTests {
    private func history(_ arrivals: Duration..., caller: String = "") -> CallHistory {
        CallHistory(
            arrivals.enumerated().map { DependencyCall(index: $0, caller: caller, arrival: $1, end: $1 + .seconds(1)) }
        )
    }

    @Test("a number of calls in any window")
    func window() throws {
        let rule = CallRule.atMost(2, within: .seconds(10))
        try history(.zero, .seconds(5), .seconds(10), .seconds(15)).require(rule)
        let violation = history(.zero, .seconds(5), .seconds(10), .seconds(14)).violations(of: rule).first
        #expect(
            violation?.description
                == "at most 2 calls arrive within 10.0 seconds, but 3 did from call 1 at 5.0 seconds on"
        )
    }

    @Test("no call in a time, whose end is outside")
    func none() throws {
        let rule = CallRule.none(in: .seconds(5)..<(.seconds(10)))
        try history(.seconds(4), .seconds(10)).require(rule)
        #expect(throws: CallViolation.self) { try history(.seconds(5)).require(rule) }
    }

    @Test("a number of calls at once")
    func concurrent() throws {
        let calls = [1, 2, 3, 2].enumerated().map { DependencyCall(index: $0, concurrency: $1, arrival: .zero) }
        try CallHistory(calls).require(.atMostConcurrent(3))
        let violation = #expect(throws: CallViolation.self) { try CallHistory(calls).require(.atMostConcurrent(2)) }
        #expect(violation?.found == "3 were when call 2 arrived at 0.0 seconds")
    }

    @Test("who was asked to come later, and nobody else, waits so long")
    func retryAfter() throws {
        func history(second: Duration, from caller: String) -> CallHistory {
            CallHistory([
                DependencyCall(
                    index: 0,
                    caller: "a",
                    arrival: .seconds(1),
                    end: .seconds(2),
                    outcome: .throttled(retryAfter: .seconds(3))
                ),
                DependencyCall(index: 1, caller: caller, arrival: second),
            ])
        }
        try history(second: .seconds(5), from: "a").require(.retryAfterIsHonoured)
        try history(second: .seconds(3), from: "b").require(.retryAfterIsHonoured)
        #expect(throws: CallViolation.self) {
            try history(second: .seconds(4), from: "a").require(.retryAfterIsHonoured)
        }
        // It was sent before the answer was there.
        try history(second: .milliseconds(1500), from: "a").require(.retryAfterIsHonoured)
    }

    @Test("a rule of one's own")
    func own() {
        let rule = CallRule("there is a call") { $0.count == 0 ? "there is none" : nil }
        #expect(CallHistory([]).violations(of: rule).map(\.found) == ["there is none"])
        #expect(history(.zero).violations(of: rule) == [])
    }
}

import CircuitBreaker
import Reliability
import ReliabilityTesting

extension NestingRun {
    /// Makes the calls of the callers, and then the final calls while the dependency is healthy.
    func run() async throws {
        for (number, caller) in nesting.callers.enumerated() {
            start(caller, at: caller.at, Origin("caller \(number)"))
        }
        await simulation.waitForClients()
        try await makeFinalCalls()
        // Abandoned operations may still send messages.
        for _ in 0..<1000 where abandonedOperations.count > 0 { try await clock.sleep(for: .seconds(1)) }
        await outboxService?.close()
    }

    private func start(_ caller: Caller, at time: Duration, _ origin: Origin) {
        var call = nesting.calls[caller.call]
        if let limit = caller.limit { call.layers.insert(.timeout(limit), at: 0) }
        let instant = beginning.advanced(by: time)
        let task = launch(call, at: instant, until: instant.advanced(by: caller.leaves ?? NestingRun.maxWait), origin)
        if let steps = caller.leavesWithin { simulation.cancelSometime(task, within: steps) }
    }

    /// Makes a call in its own task, and cancels the call at `end`.
    @discardableResult
    func launch(
        _ call: Call,
        at start: ManualClock.Instant,
        until end: ManualClock.Instant,
        _ origin: Origin,
        _ prepare: @escaping @Sendable () -> Void = {}
    ) -> Task<Int, any Error> {
        let clock = clock
        let task = simulation.spawn { [self] in
            defer { origin.leaving?.cancel() }
            try await clock.sleep(until: start, tolerance: nil)
            prepare()
            return try await withTaskCancellationHandler {
                try await make(call, in: Attempt(origin, at: moment()))
            } onCancel: {
                origin.left = moment()
            }
        }
        origin.leaving = simulation.spawn {
            try await clock.sleep(until: end, tolerance: nil)
            task.cancel()
        }
        return task
    }

    /// Makes calls while the dependency is healthy, until every circuit breaker is closed or the rounds are used up.
    private func makeFinalCalls() async throws {
        if breakers.isEmpty, external == nil { return }
        let wellFrom = beginning.advanced(by: nesting.wellFrom)
        if wellFrom > clock.now { try await clock.sleep(until: wellFrom, tolerance: nil) }
        finalCallsBegin = moment()
        for round in 0..<NestingRun.finalRounds where round == 0 || !areBreakersClosed {
            // Longer than the open time of any breaker.
            try await clock.sleep(for: .seconds(400))
            for number in nesting.calls.indices {
                start(Caller(number), at: beginning.duration(to: clock.now), Origin("a final call"))
                await simulation.waitForClients()
            }
        }
    }

    static let finalRounds = 12

    var areBreakersClosed: Bool {
        breakers.allSatisfy { $0.state == .closed } && (external.map { $0.breaker.state == .closed } ?? true)
    }
}

import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import ReliabilityStore

@Suite("SettlementWriter")
struct SettlementWriterTests {
    private static let down = StoreError(.unavailable, "down")

    /// The end of a write and its time.
    private typealias End = (answer: Result<Int, StoreError>, at: ManualClock.Instant)

    /// Writes to a store that fails until an instant and then returns the number of the attempt.
    private static func write(
        _ simulation: Simulation,
        failing reason: StoreError.Reason = .unavailable,
        until end: Duration,
        maxWait: Duration,
        ends: EventRecorder<End>
    ) async -> Result<Int, StoreError>? {
        let clock = simulation.clock
        let end = clock.now.advanced(by: end)
        let keeper = SettlementWriter(timeSource: TimeSource(clock))
        return await keeper.write(0, maxWait: maxWait) { attempt throws(StoreError) in
            attempt += 1
            if Task.isCancelled { throw StoreError(.cancelled, "cancelled") }
            if clock.now < end { throw StoreError(reason, "down") }
            return attempt
        } ended: {
            ends.record(($0, clock.now))
        }
    }

    @Test("a write is repeated until the store answers, with delays that double up to a second")
    func repeats() throws {
        try Simulation.run(seeds: 0..<5) { simulation in
            let (start, ends) = (simulation.clock.now, EventRecorder<End>())
            let result = await Self.write(simulation, until: .seconds(10), maxWait: .seconds(60), ends: ends)
            // The waits are 0.05, 0.1, 0.2, 0.4, 0.8 and nine times 1 second.
            simulation.expect(try result?.get() == 15, "\(String(describing: result))")
            let waited = start.duration(to: simulation.clock.now)
            simulation.expect(waited == .milliseconds(10_550), "it took \(waited)")
            simulation.expect(ends.events.count == 1, "\(ends.events.count) ends")
        }
    }

    @Test("the caller resumes at maxWait or at its deadline, and the write continues", arguments: [true, false])
    func maxWait(hasDeadline: Bool) throws {
        try Simulation.run(seeds: 0..<5) { simulation in
            let (clock, ends) = (simulation.clock, EventRecorder<End>())
            let start = clock.now
            let timeSource = TimeSource(clock)
            let deadline = Deadline(instant: timeSource.instant(after: .seconds(3)), timeSource: timeSource)
            let result = await DeadlineScope.$innermost.withValue(hasDeadline ? DeadlineScope(deadline) : nil) {
                await Self.write(
                    simulation,
                    until: .seconds(100),
                    maxWait: hasDeadline ? .seconds(50) : .seconds(3),
                    ends: ends
                )
            }
            simulation.expect(result == nil && ends.events.isEmpty, "it did not wait")
            simulation.expect(start.duration(to: clock.now) == .seconds(3), "it waited for another time")
            try await clock.sleep(for: .seconds(100))
            simulation.expect(ends.events.count == 1, "\(ends.events.count) ends")
        }
    }

    @Test("a caller that is cancelled still waits for the write")
    func cancelledCaller() throws {
        try Simulation.run(seeds: 0..<50) { simulation in
            let ends = EventRecorder<End>()
            let caller = simulation.spawn {
                await Self.write(simulation, until: .seconds(5), maxWait: .seconds(60), ends: ends)
            }
            simulation.cancelSometime(caller, within: 20)
            let result = try await caller.value
            simulation.expect(result != nil && ends.events.count == 1, "it did not wait")
        }
    }

    @Test(
        "a permanent error ends the write",
        arguments: [StoreError.Reason.failed, .closed, .invalid, .locked, .unsupportedFormat(2)]
    )
    func permanentErrors(reason: StoreError.Reason) throws {
        try Simulation.run(seeds: 0..<2) { simulation in
            let (start, ends) = (simulation.clock.now, EventRecorder<End>())
            let result = await Self.write(
                simulation,
                failing: reason,
                until: .seconds(9),
                maxWait: .seconds(60),
                ends: ends
            )
            guard case .failure(let error)? = result else { return simulation.expect(false, "it went on") }
            simulation.expect(error.reason == reason && start == simulation.clock.now, "\(error)")
            simulation.expect(ends.events.count == 1, "\(ends.events.count) ends")
        }
    }

    @Test("without a waiting caller, the first failure after the end stops the write")
    func withoutCaller() throws {
        try Simulation.run(seeds: 0..<5) { simulation in
            let clock = simulation.clock
            let timeSource = TimeSource(clock)
            let start = clock.now
            let end = timeSource.instant(after: .seconds(5))
            let writing = SettlementWriter(timeSource: timeSource).startWriting(0, until: end) {
                count throws(StoreError) in
                count += 1
                throw Self.down
            } ended: { (_: Result<Void, StoreError>) in
            }
            guard case .failure = await writing.value else { return simulation.expect(false, "it succeeded") }
            let waited = start.duration(to: clock.now)
            simulation.expect(waited >= .seconds(5) && waited <= .seconds(6), "it ended after \(waited)")
        }
    }
}

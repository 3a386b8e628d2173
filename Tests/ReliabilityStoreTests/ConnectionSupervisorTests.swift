import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCore
@testable import ReliabilityStore

/// A server whose attempts and checks have results that a test sets.
private final class FakeServer: Sendable {
    struct State {
        var failure: StoreError?
        /// The error of the check of a new client.
        var rejection: StoreError?
        var attempts = 0
        var closed: [Int] = []
        var onLoss: (@Sendable (String) -> Void)?
        var hasDeadline = false
        /// A Boolean value that indicates whether attempts do not end before their cancellation.
        var hangs = false
        var cancelledAttempts = 0
        var lease: ConnectionSupervisor<Int>.Lease?
    }
    let state = Lock(State())
    let closings = EventRecorder<Int>()

    func fail(_ error: StoreError?) { state.withLock { $0.failure = error } }

    var server: ConnectionSupervisor<Int>.Server {
        .init(
            name: "the server",
            connect: { [self] onLoss throws(StoreError) in
                let (attempt, failure, hangs) = state.withLock { state in
                    state.attempts += 1
                    state.onLoss = onLoss
                    return (state.attempts, state.failure, state.hangs)
                }
                if hangs {
                    try? await Task.sleep(for: .seconds(3600))
                    state.withLock { $0.cancelledAttempts += 1 }
                }
                if let failure { throw failure }
                return attempt
            },
            admit: { [self] _ throws(StoreError) in
                if let rejection = state.withLock({ $0.rejection }) { throw rejection }
            },
            check: { [self] _ throws(StoreError) in
                let failure = state.withLock { state in
                    state.hasDeadline = state.hasDeadline || Deadline.current != nil
                    return state.failure
                }
                if let failure { throw failure }
            },
            close: { [self] client in
                state.withLock { $0.closed.append(client) }
                closings.record(client)
            },
            use: { [self] lease in state.withLock { $0.lease = lease } }
        )
    }
}

@Suite("ConnectionSupervisor")
struct ConnectionSupervisorTests {
    private let clock = ManualClock()
    private let fake = FakeServer()
    private let events = EventRecorder<StoreConnectionEvent>()

    private func supervisor(mustReachServer: Bool = true) -> ConnectionSupervisor<Int> {
        ConnectionSupervisor(
            fake.server,
            mustReachServer: mustReachServer,
            timeSource: TimeSource(clock),
            randomness: RandomSource(SeededGenerator(seed: 1)),
            events: EventSink(events.record)
        )
    }

    /// The client for calls, or `nil` while calls are rejected.
    private var lease: ConnectionSupervisor<Int>.Lease? { fake.state.withLock { $0.lease } }

    @Test("an opened supervisor gives its client to calls")
    func opens() async throws {
        let supervisor = supervisor()
        #expect(lease == nil)
        #expect(supervisor.rejection().reason == .unavailable)
        try await supervisor.open()
        #expect(lease?.client == 1)
        #expect(supervisor.connectionState == .ready)
    }

    @Test("an opening fails with the last error after ten attempts")
    func openingFails() async throws {
        fake.fail(StoreError(.unavailable, "refused"))
        let supervisor = supervisor()
        let opening = Task { try await supervisor.open() }
        for _ in 0..<40 {
            await clock.advance(by: .seconds(2), whenSleeping: 1)
            if fake.state.withLock({ $0.attempts }) >= 10 { break }
        }
        await #expect(throws: StoreError.self) { try await opening.value }
        #expect(fake.state.withLock { $0.attempts } == 10)
        #expect(supervisor.connectionState == .closed)
    }

    @Test("an opening fails with the first error of a server that answers")
    func openingRejected() async throws {
        fake.fail(StoreError(.failed, "the server evicts"))
        let supervisor = supervisor()
        let error = await #expect(throws: StoreError.self) { try await supervisor.open() }
        #expect(error?.explanation == "the server cannot be used: the server evicts")
        #expect(fake.state.withLock { $0.attempts } == 1)
    }

    @Test("a client whose server is not admitted is closed")
    func notAdmitted() async throws {
        fake.state.withLock { $0.rejection = StoreError(.failed, "the server evicts") }
        let supervisor = supervisor()
        let error = await #expect(throws: StoreError.self) { try await supervisor.open() }
        #expect(error?.explanation == "the server cannot be used: the server evicts")
        #expect(fake.state.withLock { $0.closed } == [1])
        #expect(lease == nil)
    }

    @Test("an opening that does not need the server returns after the first attempt")
    func opensWithoutServer() async throws {
        fake.fail(StoreError(.unavailable, "refused"))
        let supervisor = supervisor(mustReachServer: false)
        try await supervisor.open()
        let error = supervisor.rejection()
        #expect(lease == nil)
        #expect(error.reason == .unavailable)
        #expect(error.explanation == "the server is being connected (failed attempts: 1): refused")
        fake.fail(nil)
        await clock.advance(by: .seconds(2), whenSleeping: 1)
        #expect(supervisor.connectionState == .ready)
        supervisor.close()
    }

    @Test("a lost client is replaced, and its calls change nothing afterwards")
    func lost() async throws {
        let supervisor = supervisor()
        try await supervisor.open()
        await clock.advance(by: .seconds(5), whenSleeping: 1)
        let old = try #require(lease)
        fake.state.withLock { $0.onLoss }?("the server closed the connection")
        #expect(lease?.client == 2)
        for _ in 0..<5 { supervisor.failed(old, StoreError(.unavailable, "late")) }
        supervisor.lost(old, StoreError(.unavailable, "late"))
        #expect(lease?.client == 2)
        supervisor.close()
        #expect(fake.state.withLock { $0.closed } == [1, 2])
        await events.wait(for: 4)
        #expect(events.states == [.ready, .connecting, .ready, .closed])
    }

    @Test("a check after failed calls has no deadline of a caller")
    func noDeadline() async throws {
        let supervisor = supervisor()
        try await supervisor.open()
        let lease = try #require(lease)
        let deadline = Deadline(instant: TimeSource(clock).instant(after: .seconds(1)), timeSource: TimeSource(clock))
        DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
            for _ in 0..<3 { supervisor.failed(lease, StoreError(.unavailable, "failed")) }
        }
        #expect(supervisor.connectionState == .ready)
        #expect(!fake.state.withLock { $0.hasDeadline })
        supervisor.close()
    }

    @Test("a closed supervisor has no timer")
    func closed() async throws {
        let supervisor = supervisor()
        try await supervisor.open()
        supervisor.close()
        #expect(clock.sleeperCount == 0)
        #expect(lease == nil)
        #expect(supervisor.rejection().reason == .closed)
    }

    @Test("an attempt that takes too long is cancelled, and its client is closed")
    func cancelsAttempts() async throws {
        fake.state.withLock { $0.hangs = true }
        let supervisor = supervisor(mustReachServer: false)
        let opening = Task { try await supervisor.open() }
        // The end of the attempt and its cancellation have a timer each.
        await clock.advance(by: .seconds(3), whenSleeping: 2)
        try await opening.value
        fake.state.withLock { $0.hangs = false }
        await clock.advance(by: .seconds(2), whenSleeping: 1)
        #expect(await fake.closings.wait(for: 1).first == 1)
        #expect(fake.state.withLock { $0.cancelledAttempts } == 1)
        #expect(lease?.client == 2)
        supervisor.close()
    }

    @Test("a supervisor that is released ends its timer and attempts")
    func released() async throws {
        var supervisor: ConnectionSupervisor<Int>? = supervisor()
        try await supervisor?.open()
        weak let reference = supervisor
        supervisor = nil
        #expect(reference == nil)
    }
}

extension EventRecorder where Event == StoreConnectionEvent {
    fileprivate var states: [StoreConnectionState] {
        events.compactMap { if case .changed(_, let state, _) = $0 { state } else { nil } }
    }
}

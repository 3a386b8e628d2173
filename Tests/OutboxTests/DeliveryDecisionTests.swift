import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import Outbox

@Suite("DeliveryDecision")
struct DeliveryDecisionTests {
    private struct Paused: Error {}

    @Test("by default every error is retried, no earlier than the error's retryAfter")
    func standard() {
        #expect(DeliveryDecision.standard(for: Paused()) == .retry)
        #expect(DeliveryDecision.standard(for: BusyError(retryAfter: .seconds(7))) == .retryAfter(.seconds(7)))
    }

    @Test("a postponed delivery does not count as an attempt and is repeated after its wait")
    func postpone() async throws {
        let events = EventRecorder<OutboxEvent>()
        let deliveries = EventRecorder<OutboxDelivery>()
        try Simulation.run(seeds: 0..<1) { simulation in
            let clock = simulation.clock
            let queue = OutboxQueue(
                "test",
                store: InMemoryStore(clock: clock),
                storeFailure: .failClosed(),
                clock: clock
            )
            try await queue.commit([], sending: [OutboxMessage(id: "m1", topic: "t", payload: [])])
            let relay = OutboxRelay(
                OutboxRelay.Configuration(maxAttempts: 2),
                queue: queue,
                classify: { $0 is Paused ? .postpone(.seconds(60)) : .deadLetter },
                clock: clock,
                randomness: simulation.generator(),
                observer: events.record
            ) { delivery in
                deliveries.record(delivery)
                if deliveries.events.count < 6 { throw Paused() }
            }
            let run = simulation.spawn { await relay.run() }
            try await clock.sleep(for: .seconds(400))
            relay.drain()
            _ = try await run.value
            simulation.expect(try await queue.counts() == RecordCounts(pending: 0, deadLetters: 0), "not delivered")
        }
        #expect(deliveries.events.map(\.attempt) == [1, 1, 1, 1, 1, 1])
        let texts = await events.wait(for: 6).map { event in
            switch event {
            case .postponed(let id, let attempt, let wait, let error): "postponed \(id) \(attempt) \(wait) \(error)"
            case .delivered(let id, let attempt): "delivered \(id) \(attempt)"
            default: "\(event)"
            }
        }
        #expect(texts == Array(repeating: "postponed m1 1 60.0 seconds Paused()", count: 5) + ["delivered m1 1"])
    }

    @Test("deadLetter takes effect immediately, and a negative wait postpones to now")
    func outcome() throws {
        let random = RandomSource(SeededGenerator(seed: 1))
        func outcome(_ decision: DeliveryDecision, attempt: Int = 1) -> DeliveryOutcome {
            DeliveryOutcome(
                .failure(Paused()),
                cancelsHandlers: false,
                isLate: false,
                attempt: attempt,
                configuration: OutboxRelay.Configuration(maxAttempts: 2),
                classify: { _ in decision },
                random: random
            )
        }
        let claim = RecordClaim(
            queue: "q",
            id: "1",
            payload: [],
            attempt: 1,
            token: StoreVersion(rawValue: 1),
            wasAbandoned: false
        )
        #expect(outcome(.deadLetter).action(for: claim) == .deadLetter(reason: "outbox.handler_failed"))
        #expect(
            outcome(.postpone(.seconds(-5)), attempt: 9).action(for: claim)
                == .retry(after: .zero, countsAttempt: false)
        )
        #expect(outcome(.retry, attempt: 2).action(for: claim) == .deadLetter(reason: "outbox.handler_failed"))
    }
}

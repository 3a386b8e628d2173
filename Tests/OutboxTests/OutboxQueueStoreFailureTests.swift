import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@testable import Outbox

@Suite("OutboxQueue during store failures")
struct OutboxQueueStoreFailureTests {
    private let message = OutboxMessage(id: "m1", topic: "t", payload: [])

    @Test("a commit over a stalled store has an unknown outcome after the timeout and is reported")
    func stalled() async throws {
        let events = EventRecorder<OutboxEvent>()
        try Simulation.run(seeds: 0..<1) { simulation in
            let clock = simulation.clock
            let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
            let queue = OutboxQueue(
                "test",
                store: store,
                storeFailure: .failClosed(timeout: .seconds(2)),
                clock: clock,
                observer: events.record
            )
            store.outage = .hangAfterApply
            let start = clock.now
            do {
                try await queue.commit([], sending: [message])
                simulation.expect(false, "the commit returned")
            } catch let error as StoreError {
                simulation.expect(error.reason == .unknownOutcome, "\(error)")
            }
            simulation.expect(start.duration(to: clock.now) == .seconds(2), "\(start.duration(to: clock.now))")
            store.outage = nil
            // The message is pending: the second commit finds the same message.
            let receipt = try await queue.commit([], sending: [message])
            simulation.expect(receipt.results == [.duplicate], "\(receipt)")
        }
        let texts = await events.wait(for: 2).map { event in
            switch event {
            case .storeDown(let error): "down \(error.reason)"
            case .storeRecovered: "recovered"
            default: "\(event)"
            }
        }
        #expect(texts == ["down unknownOutcome", "recovered"])
    }

    @Test("tryCommit returns a conflict, and commit throws it")
    func conflict() async throws {
        let store = InMemoryStore()
        let queue = OutboxQueue("test", store: store, storeFailure: .failClosed())
        let key = StoreKey("orders", "1")
        let write = StoreWrite.put(key, [1], .never, if: .absent)
        guard case .committed = try await queue.tryCommit([write], sending: [message]) else {
            Issue.record("the first commit is a conflict")
            return
        }
        let current = try #require(try await store.get(key))
        #expect(try await queue.tryCommit([write], sending: [message]) == .conflict(index: 0, current: current))
        let error = await #expect(throws: OutboxConflict.self) { try await queue.commit([write], sending: [message]) }
        #expect(error?.reason == .write(index: 0, current: current))
        #expect(try await queue.counts().pending == 1)
    }

    @Test("the age of the oldest due message grows until the message is claimed")
    func oldestDueAge() async throws {
        let clock = ManualClock()
        let store = InMemoryStore(clock: clock)
        let queue = OutboxQueue("test", store: store, storeFailure: .failClosed(), clock: clock)
        #expect(try await queue.oldestDueAge() == nil)
        _ = try await store.enqueue([queue.record(for: message, delay: .seconds(10))])
        #expect(try await queue.oldestDueAge() == nil)
        clock.advance(by: .seconds(15))
        let age = try #require(try await queue.oldestDueAge())
        #expect(age <= .seconds(5) && age > .milliseconds(4998))
        let claims = try await store.claim("test", limit: 1, lease: .seconds(60))
        #expect(try await queue.oldestDueAge() == nil)
        _ = try await store.settle([Settlement(claims[0], .done)])
        #expect(try await queue.oldestDueAge() == nil)
    }

    @Test("a mode other than failClosed or a store below the required durability is rejected")
    func invalidStore() async {
        await #expect(processExitsWith: .failure) {
            _ = OutboxQueue("test", store: InMemoryStore(), storeFailure: .failOpen())
        }
        await #expect(processExitsWith: .failure) {
            _ = OutboxQueue("test", store: InMemoryStore(), storeFailure: .localFallback(share: 0.5))
        }
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = OutboxQueue(
                OutboxQueue.Configuration("orders", durability: .processCrash),
                store: InMemoryStore(),
                storeFailure: .failClosed()
            )
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("the outbox orders") && text.contains("processCrash") && text.contains("none"))
    }
}

import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Retry
import TestSupport

/// An error with a wait, as an overloaded consumer throws.
struct BusyError: ReliabilityError {
    var code: ErrorCode { "test.busy" }
    var category: ErrorCategory { .unavailable }
    var message: String { "Busy." }
    var retryAfter: Duration?
}

/// The resolution of a store, which rounds the ends of leases and entries up to whole milliseconds.
let resolution = Duration.milliseconds(1)

/// A queue over a store on a manual clock, with the events of its relays.
struct OutboxFixture {
    let clock = ManualClock()
    let memory: InMemoryStore
    let store: StoreDouble
    let queue: OutboxQueue
    let events = EventRecorder<OutboxEvent>()
    /// All events, including the events of the store.
    let storeEvents = EventRecorder<OutboxEvent>()
    let deliveries = EventRecorder<OutboxDelivery>()

    init() {
        memory = InMemoryStore(clock: clock)
        store = StoreDouble(memory)
        queue = OutboxQueue("test", store: store, storeFailure: .failClosed(), clock: clock)
    }

    func send(_ ids: String..., delay: Duration = .zero) async throws {
        try await send(ids, delay: delay)
    }

    func send(_ ids: [String], delay: Duration = .zero) async throws {
        let records = ids.map { queue.record(for: OutboxMessage(id: $0, topic: "t", payload: []), delay: delay) }
        for start in stride(from: 0, to: records.count, by: 100) {
            _ = try await memory.enqueue(Array(records[start..<min(start + 100, records.count)]))
        }
    }

    func relay(
        maxAttempts: Int = 5,
        backoff: Backoff = .constant(.seconds(1), jitter: .none),
        concurrency: Int = 8,
        deliveryTimeout: Duration = .seconds(1000),
        lease: Duration = .seconds(60),
        pollInterval: Duration = .seconds(5),
        deadLetterRetention: Duration? = nil,
        queue: OutboxQueue? = nil,
        classify: @escaping @Sendable (any Error) -> DeliveryDecision = DeliveryDecision.standard(for:),
        handler: @escaping @Sendable (OutboxDelivery) async throws -> Void
    ) -> OutboxRelay {
        OutboxRelay(
            OutboxRelay.Configuration(
                maxAttempts: maxAttempts,
                backoff: backoff,
                maxRetryAfter: .seconds(100),
                concurrency: concurrency,
                deliveryTimeout: deliveryTimeout,
                lease: lease,
                pollInterval: pollInterval,
                deadLetterRetention: deadLetterRetention
            ),
            queue: queue ?? self.queue,
            classify: classify,
            clock: clock,
            randomness: SeededGenerator(seed: 1),
            observer: { event in
                events.recordCalls(event)
                storeEvents.record(event)
            },
            handler: { delivery in
                deliveries.record(delivery)
                try await handler(delivery)
            }
        )
    }

    /// The texts of at least `count` events.
    func names(_ count: Int) async -> [String] {
        await events.wait(for: count).map { event in
            switch event {
            case .delivered(let id, let attempt): "delivered \(id) \(attempt)"
            case .retrying(let id, let attempt, let after, _): "retrying \(id) \(attempt) after \(after)"
            case .deadLettered(let id, let attempt, _): "dead \(id) \(attempt)"
            case .released(let id): "released \(id)"
            case .isolated(let id, let attempts, let after): "isolated \(id) \(attempts) after \(after)"
            case .overrun(let id, let attempt): "overrun \(id) \(attempt)"
            case .abandoned(let id, let attempt): "abandoned \(id) \(attempt)"
            case .removed(let id, let reason): "removed \(id) \(reason)"
            case .stopped(let error): "stopped \(error.code)"
            case .leaseLost(let id): "leaseLost \(id)"
            case .notSettled(let id, _): "notSettled \(id)"
            case .postponed(let id, let attempt, let after, _): "postponed \(id) \(attempt) after \(after)"
            case .storeDown(let error): "storeDown \(error.reason)"
            case .storeRecovered: "storeRecovered"
            case .missed(let count): "missed \(count)"
            }
        }
    }
}

extension EventRecorder<OutboxEvent> {
    /// Records an event unless the event reports a change of the store.
    @Sendable func recordCalls(_ event: OutboxEvent) {
        switch event {
        case .storeDown, .storeRecovered: break
        default: record(event)
        }
    }
}

extension OutboxFixture {
    /// Waits until only the relay's loop sleeps, for a duration in a range.
    func untilIdle(for range: ClosedRange<Duration>) async {
        while clock.sleeperCount != 1 || clock.timeToNextSleeper.map(range.contains) != true { await Task.yield() }
    }
}

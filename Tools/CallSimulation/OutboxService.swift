import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Retry

/// An outbox with a relay.
///
/// A call sends a message and waits for the first delivery of the message.
final class OutboxService: @unchecked Sendable {
    // @unchecked Sendable: used on the simulation's one thread only.

    /// A message and its deliveries.
    final class Message: @unchecked Sendable {
        let run: Run
        let inside: @Sendable (Attempt) async throws -> Int
        var wasSent = false
        var deliveries: [(number: Int, attempt: Attempt)] = []
        var continuation: CheckedContinuation<Int, any Error>?
        var first: End?

        init(_ run: Run, _ inside: @escaping @Sendable (Attempt) async throws -> Int) {
            self.run = run
            self.inside = inside
        }

        /// Records the end of the call to the store, which nothing interrupts.
        func sendingEnded(at time: Int64) {
            run.busyUntil = max(run.busyUntil, time)
            run.outer.cannotBeInterrupted(until: time)
        }

        /// Records the end of the first delivery, or that the caller has left.
        func end(_ how: End) {
            if first != nil { return }
            first = how
            resume()
        }

        func resume() {
            guard let first, let continuation else { return }
            self.continuation = nil
            switch first {
            case .returned(let value): continuation.resume(returning: value)
            case .threw(let error): continuation.resume(throwing: error)
            }
        }
    }

    static let configuration = OutboxRelay.Configuration(
        maxAttempts: 3,
        backoff: .constant(.seconds(1), jitter: .none),
        pollInterval: .seconds(60)
    )

    private unowned let nestingRun: NestingRun
    private let queue: OutboxQueue
    private(set) var messages: [Message] = []
    private var relay: (OutboxRelay, Task<Void, Never>)?

    init(_ nestingRun: NestingRun) {
        self.nestingRun = nestingRun
        queue = OutboxQueue("outbox", store: nestingRun.store, storeFailure: .failClosed(), clock: nestingRun.clock)
    }

    func deliver(_ run: Run, _ inside: @escaping @Sendable (Attempt) async throws -> Int) async throws -> Int {
        startRelay()
        let outboxMessage = OutboxMessage(id: "\(messages.count)", topic: "message", payload: [])
        let message = Message(run, inside)
        messages.append(message)
        run.outer.send(at: nestingRun.moment())
        // Nothing bounds this call.
        do {
            defer { message.sendingEnded(at: nestingRun.now) }
            _ = try await queue.commit([], sending: [outboxMessage])
        }
        message.wasSent = true
        relay?.0.wake()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                message.continuation = continuation
                message.resume()
            }
        } onCancel: {
            message.end(.threw(CancellationError()))
        }
    }

    /// Starts the relay at its first use, inside a call.
    private func startRelay() {
        if relay != nil { return }
        let new = OutboxRelay(
            OutboxService.configuration,
            queue: queue,
            clock: nestingRun.clock,
            randomness: SeededGenerator(seed: 1)
        ) { [unowned self] delivery in
            try await handle(delivery)
        }
        relay = (new, Task(executorPreference: nestingRun.executor) { await new.run() })
    }

    private func handle(_ delivery: OutboxDelivery) async throws {
        guard let number = Int(delivery.message.id) else { return }
        let message = messages[number]
        let limit = Int64(OutboxService.configuration.deliveryTimeout / .nanoseconds(1))
        let origin = Origin("a delivery", deadline: nestingRun.now + limit)
        // The relay counts from its claim. The process may have stalled since the claim.
        let earliest = message.deliveries.last?.attempt.end?.at.time ?? message.run.began.time
        if nestingRun.stalledUntil > earliest { origin.earliestDeadline = earliest + limit }
        let attempt = Attempt(origin, at: nestingRun.moment())
        nestingRun.judgeDelivery(delivery.attempt, of: message)
        message.deliveries.append((delivery.attempt, attempt))
        do {
            let value = try await message.inside(attempt)
            nestingRun.end(attempt, .returned(value))
            message.end(.returned(value))
        } catch {
            nestingRun.end(attempt, .threw(error))
            // The message was sent, regardless of the handler's own error.
            message.end(.threw(PlainError(number: nestingRun.moment().number)))
            throw error
        }
    }

    /// A Boolean value that indicates whether every message was delivered or has used all attempts.
    private var isDone: Bool {
        messages.allSatisfy { message in
            !message.wasSent || message.deliveries.count == OutboxService.configuration.maxAttempts
                || message.deliveries.contains { $0.attempt.end?.how.value != nil }
        }
    }

    /// Waits for the remaining deliveries, and ends the relay.
    func close() async {
        guard let (relay, task) = relay else { return }
        // Each delivery may take its whole limit, and the process may stall during each delivery.
        for _ in 0..<60 where !isDone { try? await nestingRun.clock.sleep(for: .seconds(60)) }
        relay.drain()
        await task.value
    }
}

import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Retry

/// The outbox through which calls hand over to a relay, and wait for what its handler does.
final class Post: @unchecked Sendable {
    // @unchecked Sendable: used on the simulation's one thread only.

    /// One message.
    final class Mail: @unchecked Sendable {
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

        /// Nothing interrupts the call to the store.
        func sendingEnded(at time: Int64) {
            run.busyUntil = max(run.busyUntil, time)
            run.outer.cannotBeInterrupted(until: time)
        }

        /// The first delivery has ended, or the caller has left.
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

    static let configuration = OutboxRelayConfiguration(
        maxAttempts: 3,
        backoff: .constant(.seconds(1), jitter: .none),
        pollInterval: .seconds(60)
    )

    private unowned let world: World
    private let queue: OutboxQueue
    private(set) var mails: [Mail] = []
    private var relay: (OutboxRelay, Task<Void, Never>)?

    init(_ world: World) {
        self.world = world
        queue = OutboxQueue("post", store: world.store)
    }

    func deliver(_ run: Run, _ inside: @escaping @Sendable (Attempt) async throws -> Int) async throws -> Int {
        startRelay()
        let message = OutboxMessage(id: "\(mails.count)", topic: "mail", payload: [])
        let mail = Mail(run, inside)
        mails.append(mail)
        run.outer.send(at: world.moment())
        // Nothing bounds this call.
        do {
            defer { mail.sendingEnded(at: world.now) }
            _ = try await queue.commit([], sending: [message])
        }
        mail.wasSent = true
        relay?.0.wake()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                mail.continuation = continuation
                mail.resume()
            }
        } onCancel: {
            mail.end(.threw(CancellationError()))
        }
    }

    /// Starts the relay when it is first needed, as a part of an application may be: inside of somebody's call.
    private func startRelay() {
        if relay != nil { return }
        let new = OutboxRelay(
            queue,
            Post.configuration,
            clock: world.clock,
            randomness: SeededGenerator(seed: 1)
        ) { [unowned self] delivery in
            try await handle(delivery)
        }
        relay = (new, Task(executorPreference: world.executor) { await new.run() })
    }

    private func handle(_ delivery: OutboxDelivery) async throws {
        guard let number = Int(delivery.message.id) else { return }
        let mail = mails[number]
        let limit = Int64(Post.configuration.timeLimit / .nanoseconds(1))
        let origin = Origin("a delivery", deadline: world.now + limit)
        // The relay counts from its claim; the process may have stood still since.
        let earliest = mail.deliveries.last?.attempt.end?.at.time ?? mail.run.began.time
        if world.stalledUntil > earliest { origin.earliestDeadline = earliest + limit }
        let attempt = Attempt(origin, at: world.moment())
        world.judgeDelivery(delivery.attempt, of: mail)
        mail.deliveries.append((delivery.attempt, attempt))
        do {
            let value = try await mail.inside(attempt)
            world.end(attempt, .returned(value))
            mail.end(.returned(value))
        } catch {
            world.end(attempt, .threw(error))
            // The message was sent, whatever the handler says of its own requests.
            mail.end(.threw(PlainError(number: world.moment().number)))
            throw error
        }
    }

    /// Whether every message was delivered, or delivered as often as is allowed.
    private var isDone: Bool {
        mails.allSatisfy { mail in
            !mail.wasSent || mail.deliveries.count == Post.configuration.maxAttempts
                || mail.deliveries.contains { $0.attempt.end?.how.value != nil }
        }
    }

    /// Gives the relay time for what is left, and lets it end.
    func close() async {
        guard let (relay, task) = relay else { return }
        // Each delivery may take its whole limit, and the process may stand still in each.
        for _ in 0..<60 where !isDone { try? await world.clock.sleep(for: .seconds(60)) }
        relay.drain()
        await task.value
    }
}
